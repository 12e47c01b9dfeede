"""The fleet at a terminal: `cube top`."""
