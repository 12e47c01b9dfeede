"""What is remembered: jobs, tasks and every event, in SQLite."""
