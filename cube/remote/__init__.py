"""A manager somewhere else: what its API answers, as the store and the manager that commands work with."""
