"""Executions in, rows out."""
