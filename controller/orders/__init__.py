"""Orders to the poles that somebody gives by a press: emergencies, drills, and silence."""
