"""What is published: each table with its columns, the types that they get, and the SELECT that gives its rows.

All of it follows from the tables of the mirror, but for the keys and for which tables there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Integer

from syncer.core.published import Kind
from syncer.store.db.publish_triggers import KEYS
from syncer.store.db.tables import metadata

#: Columns that hold JSON, in any table.
_DOCUMENTS: Final = frozenset({"raw", "custom_fields", "fields", "clashes"})


@dataclass(frozen=True, slots=True)
class Published:
    """One published table."""

    name: str
    key: str  #: with `site` in front it is the primary key
    columns: tuple[str, ...]  #: the key first, `site` aside
    kinds: tuple[Kind, ...]
    source: str  #: SQL: what the rows are selected from
    marked_by: str  #: marks under this name are about its rows

    @property
    def key_kind(self) -> Kind:
        """The type of the key."""
        return self.kinds[0]


def _kind(table: str, column: str) -> Kind:
    if isinstance(metadata.tables[table].c[column].type, Integer):
        return Kind.NUMBER
    if column in _DOCUMENTS:
        return Kind.JSON
    return Kind.TIME if column == "at" or column.endswith("_at") else Kind.TEXT


def _of(name: str, key: str) -> Published:
    names = [column.name for column in metadata.tables[name].columns]
    columns = (key, *(one for one in names if one != key))
    return Published(name, key, columns, tuple(_kind(name, one) for one in columns), name, name)


#: The numbers that were last agreed on with upstream, where a contact's own differs or cannot be read: the view
#: `contacts` takes a row of the user's list for the same contact by either.
_AGREED: Final = Published(
    "telecmi_agreed_numbers",
    "row_id",
    ("row_id", "account", "phone_no", "phone_e164"),
    (Kind.NUMBER, Kind.TEXT, Kind.TEXT, Kind.TEXT),
    """(SELECT b.row_id, b.account, b.phone_no, b.phone_e164 FROM contact_base b
        JOIN telecmi_contacts c ON c.id = b.row_id
        WHERE b.source <> 'gone' AND (b.phone_e164 IS NOT c.phone_e164 OR b.phone_e164 IS NULL))""",
    "telecmi_contacts",
)

#: All of them, by name.
PUBLISHED: Final = {one.name: one for one in (*(_of(name, key) for name, key in KEYS.items()), _AGREED)}

#: Its new rows are known by their number.
LOG: Final = PUBLISHED["change_log"]
