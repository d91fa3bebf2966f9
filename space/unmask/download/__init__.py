"""Turn URLs and paths into video files on this machine, within limits."""
