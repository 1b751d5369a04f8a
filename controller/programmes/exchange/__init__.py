"""Programmes in the files of other programs: calendars (iCalendar) and playlists (M3U, XSPF), both ways."""
