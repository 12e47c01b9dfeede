"""Cube beside others, measured in one run on the lab: `make bench`. No test; it fails on no figure."""
