"""Pure: what is recorded and seen, as one wants to read it. Commands, API and page share it."""
