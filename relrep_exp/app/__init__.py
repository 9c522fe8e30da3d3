"""The only room that knows the whole: from words to records, tables and exit codes."""
