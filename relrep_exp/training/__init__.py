"""One way to train, on whatever device."""
