"""The database file: its connection, tables, triggers and views, migrations, integrity."""
