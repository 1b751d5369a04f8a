"""What is known of a run afterwards: what was heard, allowed and said, and the reports on it."""
