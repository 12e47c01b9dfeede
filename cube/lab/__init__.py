"""Real nodes in Docker on this machine, each with its own sshd and engine, for trying and testing Cube."""
