"""The media library's rim: ffmpeg, files, the catalogue's table, downloads, the process that decodes."""
