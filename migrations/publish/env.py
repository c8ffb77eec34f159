"""Alembic's entry for a published copy: runs on the connection, and in the transaction, that syncer opened.

The scripts name no schema: the connection's search path does.
"""

from alembic import context

settings = context.config.attributes
context.configure(
    connection=settings["connection"],
    transactional_ddl=True,
    version_table=settings["versions"],
    version_table_schema=settings["schema"],
)
with context.begin_transaction():
    context.run_migrations()
