"""Programmes: what is to sound and when; their calendars, bulletins, exchange with other programs, and their desk."""
