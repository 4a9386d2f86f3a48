"""Experiments that answer one question each and print one table."""
