"""Live sound: relays of stations and voices at microphones, from samples to signed packets on shared time."""
