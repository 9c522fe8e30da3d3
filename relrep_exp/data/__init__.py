"""One file per source; a dataset says its samples, labels, split and identity."""
