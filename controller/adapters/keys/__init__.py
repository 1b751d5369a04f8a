"""Keys on files, in hardware and with a signer of their own; ceremonies and what they publish."""
