"""SSH: one connection per node, a deadline on every call, host keys checked before any credential is sent."""
