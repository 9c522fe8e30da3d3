"""Where results stay: content keys, atomic files, locks, the embedding store and the record store."""
