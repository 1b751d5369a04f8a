"""The broker, as the controller sets it up: its configuration and access rules."""
