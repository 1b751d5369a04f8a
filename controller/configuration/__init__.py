"""The configuration and the site that it describes, read, checked and held together."""
