"""SQL and nothing else: tables, connection, triggers, views, and the statements of each table group."""
