"""What the pole and the controller agree on: messages, signatures, topics, rules. Pure; no input or output."""
