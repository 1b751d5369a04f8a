"""People: who they are, what they may do and see, and the audit log of what they did."""
