"""What triggers share: the clock, the guard that separates people's writes from the program's, and a limit of ids."""

from __future__ import annotations

from typing import Final

#: The current time, in the form of all times in this database.
NOW: Final = "strftime('%Y-%m-%dT%H:%M:%fZ','now')"

#: True for everybody's writes except the program's own.
PEOPLE: Final = "COALESCE((SELECT active FROM sync_guard WHERE id = 1), 0) = 0"

#: How far beyond the greatest id a person may choose one. The greatest possible id would stop all inserts.
ID_ROOM: Final = 1_000_000

# Plain UPDATEs: an outer OR REPLACE would turn an upsert here into REPLACE, and the epoch would be lost.
ENTER: Final = "UPDATE sync_guard SET active = 1 WHERE id = 1;"
LEAVE: Final = "UPDATE sync_guard SET active = 0 WHERE id = 1;"
