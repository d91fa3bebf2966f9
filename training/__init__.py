"""Trains, evaluates and publishes Unmask's models. Imports `unmask`, never the reverse."""
