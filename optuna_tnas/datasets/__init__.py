"""Data sets as points: what phi reads."""
