"""Find faces in frames, track them, and cut them into clips."""
