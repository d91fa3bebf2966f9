"""Render a report for people: HTML, terminal, and an annotated video."""
