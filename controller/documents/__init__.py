"""What stands signed on the broker: who signs it, what every node is told, what is signed again."""
