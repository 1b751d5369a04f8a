"""An MQTT 5 broker in virtual time."""
