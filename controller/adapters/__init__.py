"""The controller's rim: broker, database, files, feeds."""
