"""What becomes of errors at the edge: the one mapping to HTTP answers."""
