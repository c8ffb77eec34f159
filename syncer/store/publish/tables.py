"""The published tables: columns, their types, and where the rows come from.

Everything but the list of tables and their keys is derived from the tables of the mirror.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Integer

from syncer.core.published import Kind
from syncer.store.db.publish_triggers import KEYS
from syncer.store.db.tables import metadata

#: Columns with JSON, in any table.
_DOCUMENTS: Final = frozenset({"raw", "custom_fields", "fields", "clashes"})


@dataclass(frozen=True, slots=True)
class Published:
    """A published table."""

    name: str
    key: str  #: the primary key is `site` and this column
    columns: tuple[str, ...]  #: without `site`, the key first
    kinds: tuple[Kind, ...]
    source: str  #: SQL after FROM
    marked_by: str  #: the table name in marks for its rows

    @property
    def key_kind(self) -> Kind:
        """The type of the key column."""
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


#: The numbers last agreed on with upstream, for contacts whose own differs or cannot be read. The view `contacts`
#: matches rows of user lists by both.
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

#: All published tables, by name.
PUBLISHED: Final = {one.name: one for one in (*(_of(name, key) for name, key in KEYS.items()), _AGREED)}

#: Its new rows are found by their `seq`, without marks.
LOG: Final = PUBLISHED["change_log"]
