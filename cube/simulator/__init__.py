"""A fleet of fake workers under a virtual clock: for tests, and for what-if."""
