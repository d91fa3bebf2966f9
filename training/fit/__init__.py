"""Fit models to face clips."""
