"""What a coding agent asks over the Model Context Protocol, answered for one project."""
