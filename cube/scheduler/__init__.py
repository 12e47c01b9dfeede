"""Pure: which node takes a task, and why."""
