"""Which model answers, at what price, and why."""
