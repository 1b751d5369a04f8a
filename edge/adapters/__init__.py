"""The rim of the node: threads, files, devices, sockets."""
