"""SQL that triggers share: the clock, and the guard that tells people's writes from the program's."""

from __future__ import annotations

from typing import Final

#: The clock of triggers, in the form of every stamp in this database.
NOW: Final = "strftime('%Y-%m-%dT%H:%M:%fZ','now')"

#: Holds for everybody's writes but our own.
PEOPLE: Final = "COALESCE((SELECT active FROM sync_guard WHERE id = 1), 0) = 0"

# Plain UPDATEs: an outer OR REPLACE would turn an upsert in here into REPLACE, and the epoch would be lost.
ENTER: Final = "UPDATE sync_guard SET active = 1 WHERE id = 1;"
LEAVE: Final = "UPDATE sync_guard SET active = 0 WHERE id = 1;"
