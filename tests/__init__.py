"""Laws of Cube, each held by a test that names it."""
