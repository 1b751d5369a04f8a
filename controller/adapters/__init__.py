"""The controller's rim: database, media, keys, broker, feeds. Nothing here decides."""
