"""What sounds: programme, arbiter, sources, playout, proof."""
