"""Define, load and run the video models, and explain their scores."""
