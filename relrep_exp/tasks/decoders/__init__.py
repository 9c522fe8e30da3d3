"""What reads representations."""
