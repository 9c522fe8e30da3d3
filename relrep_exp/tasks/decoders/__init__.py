"""Read representations."""
