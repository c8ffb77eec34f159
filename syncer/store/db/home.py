"""The home of a database: the path and the machine that it belongs to. Nothing is sent from a copy elsewhere.

A backup has the same home, so it is at home if it is restored to the same place, and a copy anywhere else.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from syncer.store.db.read_only import Reader, raw, tuples

#: The machine's id of systemd and D-Bus (machine-id(5)). Containers often have none.
MACHINE_ID = Path("/etc/machine-id")


@dataclass(frozen=True, slots=True)
class Place:
    """The location of a database file."""

    path: str  #: absolute, symlinks resolved
    machine: str | None  #: a hash of the machine's id; None: it has none


def place_of(database: Path, machine_id: Path = MACHINE_ID) -> Place:
    """The location of a database file on this machine."""
    try:
        text = machine_id.read_text(errors="replace").strip()
    except OSError:
        text = ""
    # Only a hash, because the id is confidential (machine-id(5)) and databases are passed on. It is "uninitialized"
    # before the first boot.
    digest = hashlib.sha256(f"syncer {text}".encode()).hexdigest()[:32]
    return Place(str(database.resolve()), None if text in ("", "uninitialized") else digest)


def recorded(conn: Reader) -> Place | None:
    """The home that the database remembers; None if only older versions have opened it."""
    if not tuples(conn, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'home'"):
        return None  # written by a version without homes
    return next((Place(*row) for row in tuples(conn, "SELECT path, machine FROM home")), None)


def adopt(conn: Reader, place: Place) -> None:
    """Set the home."""
    raw(conn).execute(
        "INSERT INTO home (id, path, machine) VALUES (1, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET path = excluded.path, machine = excluded.machine",
        (place.path, place.machine),
    )


def describe(place: Place, here: Place) -> str:
    """The place in words, as seen from this machine."""
    return place.path if place.machine == here.machine else f"{place.path} on another machine"


def elsewhere(conn: Reader, here: Place) -> str | None:
    """Why nothing may be sent from here, and what to do about it; None at home."""
    home = recorded(conn)
    if home is None or home == here:
        return None
    return (
        f"this database belongs to {describe(home, here)}, so it is a copy here and nothing is sent: "
        "if it is to be used from here on, run `syncer db adopt`"
    )
