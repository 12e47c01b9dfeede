"""Pure: what is wanted, what is recorded and what was seen, to a plan."""
