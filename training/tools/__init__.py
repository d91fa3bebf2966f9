"""Hold analyses that are run by hand."""
