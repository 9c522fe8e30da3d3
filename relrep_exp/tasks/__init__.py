"""Measure: a task yields rows and knows no logger, no table, no cache."""
