"""What writes code: the prompt for a method, the body in a reply, and the loop around both."""
