"""The media library's decisions: what a recording must be, what the catalogue knows, how an intake goes; pure."""
