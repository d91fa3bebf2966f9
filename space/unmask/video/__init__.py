"""Decode sampled windows of frames from video files and captured pictures."""
