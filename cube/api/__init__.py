"""The manager over HTTP: routes, who may use them, and how they fail. No logic."""
