"""What becomes of errors: another attempt, or the one HTTP answer at the edge."""
