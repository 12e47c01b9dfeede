"""The command line: reads what people wrote, asks the manager, prints the answer. No logic."""
