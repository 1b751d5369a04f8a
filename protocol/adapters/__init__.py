"""The shared rim: the MQTT link, the system clock and the asyncio loop behind the pure core."""
