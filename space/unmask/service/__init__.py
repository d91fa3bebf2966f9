"""Serve checks to many clients: settings, jobs, rate limits, endpoints."""
