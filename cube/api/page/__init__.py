"""The page: the fleet in a browser, drawn by the manager and kept up to date while it is looked at."""
