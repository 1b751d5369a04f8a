"""What is switched: the amplifier, and what tells that something is wrong."""
