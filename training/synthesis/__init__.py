"""Make fake faces out of real ones."""
