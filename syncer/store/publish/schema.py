"""Creates and migrates the schema of a published copy with Alembic (`migrations/publish`), and its views."""

from __future__ import annotations

import threading
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from syncer.errors import SchemaError
from syncer.store.publish import views
from syncer.store.publish.tables import PUBLISHED

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Every revision in `migrations/publish/versions`, oldest first; a test compares them.
REVISIONS: Final = ("0001", "0002")
HEAD: Final = REVISIONS[-1]

#: The table in which Alembic records the revision.
VERSIONS: Final = "syncer_version"

#: Alembic keeps its context in globals, and each target has its own thread.
_ALEMBIC: Final = threading.Lock()


class SchemaState(Enum):
    """Whether a schema needs an upgrade."""

    CURRENT = auto()
    OLD = auto()  #: it has an earlier revision, or does not exist


def state(conn: Connection, schema: str) -> SchemaState:
    """The state of a schema. Raises SchemaError if a newer version made it, or if somebody else's tables have our names."""
    if not _exists(conn, schema, VERSIONS):
        for name in (*PUBLISHED, *views.expected(schema), "syncer_position", "contact_edits"):
            if _exists(conn, schema, name):
                raise SchemaError(
                    f"the schema {schema} of the published copy has a {name} that syncer did not make: "
                    "name another schema in the config"
                )
        return SchemaState.OLD
    revision = conn.exec_driver_sql(f'SELECT version_num FROM "{schema}"."{VERSIONS}"').scalar()
    if revision is not None and revision not in REVISIONS:
        raise SchemaError(
            f"the schema {schema} of the published copy was made by a newer version of syncer "
            f"(it is {revision}, this version knows up to {HEAD}): upgrade syncer here, too"
        )
    return SchemaState.CURRENT if revision == HEAD else SchemaState.OLD


def _exists(conn: Connection, schema: str, name: str) -> bool:
    query = (
        "SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %s AND c.relname = %s)"
    )
    return bool(conn.exec_driver_sql(query, (schema, name)).scalar())


def upgrade(conn: Connection, schema: str) -> None:
    """Create the schema if needed, and bring it to this version, in the caller's transaction."""
    # Sites that start at the same time take turns.
    conn.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"syncer {schema}",))
    if state(conn, schema) is SchemaState.CURRENT:
        return
    encoding = conn.exec_driver_sql("SHOW server_encoding").scalar()
    if encoding != "UTF8":
        raise SchemaError(
            f"the database of the published copy has the encoding {encoding}, which cannot hold every name: "
            "make one with ENCODING 'UTF8'"
        )
    there = "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = %s)"
    if not conn.exec_driver_sql(there, (schema,)).scalar():  # IF NOT EXISTS checks the privilege first
        conn.exec_driver_sql(f'CREATE SCHEMA "{schema}"')
    conn.exec_driver_sql(f'SET LOCAL search_path TO "{schema}"')
    _run_alembic(conn, schema)
    for sql in views.expected(schema).values():  # replaced, not dropped: privileges and dependent views stay
        conn.exec_driver_sql(sql)


def ensure_views(conn: Connection, schema: str) -> None:
    """Create views that somebody dropped."""
    for name, sql in views.expected(schema).items():
        if not _exists(conn, schema, name):
            conn.exec_driver_sql(sql)


def _run_alembic(conn: Connection, schema: str) -> None:
    from alembic import command  # imported late: that takes longer than most commands run
    from alembic.config import Config

    from syncer.store.db.migrations import migrations_folder

    config = Config()
    config.set_main_option("script_location", str(migrations_folder() / "publish").replace("%", "%%"))
    config.attributes.update(connection=conn, schema=schema, versions=VERSIONS)
    with _ALEMBIC:
        command.upgrade(config, "head")
