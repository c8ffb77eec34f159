"""Which schema a database has, and whether it is this version's. `migrations.py` upgrades it."""

from __future__ import annotations

from syncer.errors import SchemaError
from syncer.store.db import views
from syncer.store.db.columns import TABLES
from syncer.store.db.read_only import Readable, Reader, first, tuples

#: Every revision in `migrations/versions`, oldest first; a test compares them.
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011")

#: The newest one.
HEAD = REVISIONS[-1]


def current(conn: Reader) -> str | None:
    """The revision of the database, or None for a file without our tables.

    Raises SchemaError if it has other tables or views with our names.
    """
    query = "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view')"
    there = {str(name).lower(): str(kind) for name, kind in tuples(conn, query)}
    kinds = dict.fromkeys(TABLES, "table") | dict.fromkeys(views.expected(), "view")
    clashing = sorted(kinds.keys() & there)
    if "alembic_version" in there and {"sync_guard", "change_queue", "contact_base"} & there.keys():
        foreign = [name for name in clashing if there[name] != kinds[name]]
        if foreign:
            raise SchemaError(
                f"the database has a {there[foreign[0]]} {foreign[0]} that syncer did not make: rename or drop it"
            )
        revision = first(conn, "SELECT version_num FROM alembic_version")
        if revision is not None:
            return str(revision)
    if clashing or "alembic_version" in there:
        name = clashing[0] if clashing else "alembic_version"
        raise SchemaError(
            f"the database has a {there[name]} {name} that syncer did not make: "
            "name another file in database.url"
        )
    return None


def is_current(db: Readable) -> bool:
    """Whether the schema is up to date. Raises SchemaError for a database from a newer version."""
    with db.read() as conn:
        revision = current(conn)
    if revision is not None and revision not in REVISIONS:
        raise SchemaError(
            f"the database {db.path.name} was written by a newer version of syncer "
            f"(its schema is {revision}, this version knows up to {HEAD}): upgrade syncer, or restore "
            "the backup that was taken before the upgrade"
        )
    return revision == HEAD
