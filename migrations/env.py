"""Alembic's entry: runs the scripts on the connection, and in the transaction, that syncer opened."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
