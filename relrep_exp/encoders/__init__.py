"""Where embeddings come from: encoders trained here, or files that the user brings."""
