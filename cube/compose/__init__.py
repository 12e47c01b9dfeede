"""Pure: Compose files to a job, and what of them a job cannot say."""
