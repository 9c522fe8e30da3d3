"""What is measured. A task yields rows and knows no logger, no table, no cache."""
