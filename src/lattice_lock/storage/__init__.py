"""What outlives a process: files in the data folder."""
