"""The manager's hand on one machine: it looks, and it carries out one effect at a time."""
