"""What code, prompts and the answers of models may contain: one policy, one file."""
