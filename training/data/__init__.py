"""Read data sets, cut faces from their videos, and store face clips in shards."""
