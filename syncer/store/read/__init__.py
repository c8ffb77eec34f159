"""Queries behind commands, pages and metrics, on Python's own sqlite3."""
