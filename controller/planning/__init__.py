"""Plans: programmes compiled, carried to the poles, and said in advance: what sounds where, and why."""
