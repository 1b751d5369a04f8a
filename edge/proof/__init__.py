"""What proves that a pole sounded: what was judged, what was heard, the self-test of the horn."""
