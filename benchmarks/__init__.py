"""Scripts that time what the documentation says of speed: `make bench`, `make communication`."""
