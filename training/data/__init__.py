"""Read data sets, cut faces from them, and store face clips in shards."""
