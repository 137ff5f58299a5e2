"""One command, one module; each exposes `command`, and its first line is its help text."""
