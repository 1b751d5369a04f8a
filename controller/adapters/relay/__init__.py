"""A feed from its station to signed packets: connection, decoding, encoding, workers."""
