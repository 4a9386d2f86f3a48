"""One question each, and the command that prints its answer as a table."""
