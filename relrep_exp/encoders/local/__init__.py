"""Encoders that are trained on the spot."""
