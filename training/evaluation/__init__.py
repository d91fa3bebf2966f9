"""Measure models on labelled videos."""
