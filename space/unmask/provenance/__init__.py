"""Read what a video says of its origin: Content Credentials and tags."""
