"""Pure: an inventory's text to a Cluster."""
