"""The published copy in PostgreSQL: its tables, how rows get there, and how both sides are compared."""
