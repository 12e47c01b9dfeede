"""Pure: a job file's text to a Job."""
