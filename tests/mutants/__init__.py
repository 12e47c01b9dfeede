"""One-line bugs, kept as patches: the simulation must notice every one of them."""
