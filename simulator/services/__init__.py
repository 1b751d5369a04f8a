"""What stands at the other end in virtual time: controller, database, media, time, stations."""
