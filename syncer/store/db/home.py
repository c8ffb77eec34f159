"""Where a database lives: the path and the machine that it belongs to. From a copy elsewhere nothing is sent.

A backup carries its home along: restored to the same place it is at home, opened anywhere else it is a copy.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from syncer.store.db.read_only import Reader, raw, tuples

#: Where systemd and D-Bus keep the machine's id (machine-id(5)); containers often have none.
MACHINE_ID = Path("/etc/machine-id")


@dataclass(frozen=True, slots=True)
class Place:
    """A place where a database file can be."""

    path: str  #: absolute, symlinks resolved
    machine: str | None  #: a hash of the machine's id; None: it has none


def place_of(database: Path, machine_id: Path = MACHINE_ID) -> Place:
    """The place of a database file on this machine."""
    try:
        text = machine_id.read_text(errors="replace").strip()
    except OSError:
        text = ""
    # The id is confidential (machine-id(5)), and databases are handed around. Before the first boot it reads
    # "uninitialized".
    digest = hashlib.sha256(f"syncer {text}".encode()).hexdigest()[:32]
    return Place(str(database.resolve()), None if text in ("", "uninitialized") else digest)


def recorded(conn: Reader) -> Place | None:
    """The home that the database remembers; None before this version first opened it."""
    if not tuples(conn, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'home'"):
        return None  # from before there were homes
    return next((Place(*row) for row in tuples(conn, "SELECT path, machine FROM home")), None)


def adopt(conn: Reader, place: Place) -> None:
    """Make a place the home."""
    raw(conn).execute(
        "INSERT INTO home (id, path, machine) VALUES (1, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET path = excluded.path, machine = excluded.machine",
        (place.path, place.machine),
    )


def describe(place: Place, here: Place) -> str:
    """Where that is, as seen from here."""
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
