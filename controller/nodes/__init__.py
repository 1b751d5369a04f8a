"""What nodes say, and what is known of them: presence, records, the time that they ask for."""
