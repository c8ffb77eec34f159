"""Whether a published copy equals the mirror: read and compared by means of its own, not by the program's."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from tests.publish.conftest import Published

#: The tables of the contract, with their keys.
TABLES = {
    "telecmi_contacts": "id", "telecmi_user_contacts": "id", "telecmi_notes": "id", "telecmi_voicemails": "id",
    "smartflo_contacts": "id", "smartflo_contact_groups": "id", "telecmi_calls": "id", "smartflo_calls": "id",
    "change_queue": "id", "change_log": "seq",
}  # fmt: skip

#: The views, without `site`.
VIEWS = ("contacts", "calls", "voicemails", "callbacks")

_JSON = {"raw", "custom_fields", "fields", "clashes"}


def _time(value: Any) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _value(column: str, value: Any) -> Any:
    if column == "at" or column.endswith("_at"):
        return _time(value)
    if column in _JSON and isinstance(value, str):
        return json.loads(value)
    return value


def _table(office: Published, name: str, site: str) -> tuple[list[Any], list[Any]]:
    names = [one[1] for one in office.sql(f"PRAGMA table_info({name})")]
    columns = ", ".join(f'"{one}"' for one in names)
    ours = office.sql(f"SELECT {columns} FROM {name}")
    theirs = office.there(f"SELECT {columns} FROM {name} WHERE site = %s", site)
    return tuple(
        sorted(([_value(*pair) for pair in zip(names, row, strict=True)] for row in rows), key=repr)
        for rows in (ours, theirs)
    )  # type: ignore[return-value]


def assert_equal(office: Published, site: str = "main", *, views: bool = True) -> None:
    """Every table, and every view, has the same rows on both sides."""
    for name in (*TABLES, *(VIEWS if views else ())):
        ours, theirs = _table(office, name, site)
        assert ours == theirs, name
