"""What SQLite reports, in our own terms: the error to raise, and a sentence for a person.

Which libraries' errors are turned into these is left to `connection.py` and `read_only.py`.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from syncer import files
from syncer.errors import SchemaError, StoreBusyError, StoreError, UsageError
from syncer.store.db import columns, views

_BUSY = "the database {name} is held by another program; try again in a moment"
_UNWRITABLE = "the database {name} cannot be written: check the owner and mode of it and its folder"

#: Of a file of another kind, or one that was damaged.
BROKEN = (
    "the file {name} is not an intact SQLite database: restore a backup, or name another file in database.url"
)

#: Of a file that is intact at a second look.
_PASSING = (
    "the database {name} could not be read, but a second look finds it intact: try again, and check the disk if this "
    "comes back"
)

#: As many files may SQLite open at once for one connection.
_FILES_OF_SQLITE = 6

#: Of whatever has no sentence of its own below.
_REFUSED = "the database {name} refused a statement; `syncer doctor` looks for the cause"

#: How every refusal begins that our own triggers write.
_OURS = (*columns.TABLES, *views.expected())

#: SQLite's primary result codes (https://sqlite.org/rescode.html) -> the error, and what to tell a person.
_CODES: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_PERM: (StoreError, _UNWRITABLE),
    sqlite3.SQLITE_BUSY: (StoreBusyError, _BUSY),
    sqlite3.SQLITE_LOCKED: (StoreBusyError, _BUSY),
    sqlite3.SQLITE_READONLY: (StoreError, _UNWRITABLE),
    sqlite3.SQLITE_INTERRUPT: (
        StoreBusyError,
        "a query of the database {name} took too long and was given up",
    ),
    sqlite3.SQLITE_IOERR: (
        StoreError,
        "the disk did not take or give what the database {name} needs: check the disk and its free space",
    ),
    sqlite3.SQLITE_CORRUPT: (SchemaError, BROKEN),
    sqlite3.SQLITE_FULL: (
        StoreError,
        "the disk that holds the database {name} is full; free some space and try again",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        StoreError,
        "the database {name} cannot be opened: check that its folder exists and may be written",
    ),
    sqlite3.SQLITE_TOOBIG: (StoreError, "a value is too long for the database {name}"),
    sqlite3.SQLITE_NOTADB: (SchemaError, BROKEN),
}


def of_sqlite(error: sqlite3.Error, path: Path) -> StoreError | UsageError:
    """What an error of SQLite's about `path` means, with its own reason where that quotes no value."""
    code = getattr(error, "sqlite_errorcode", None)
    if not isinstance(code, int):
        return StoreError(f"the database {path.name} refused a statement ({type(error).__name__})")
    if code == sqlite3.SQLITE_CONSTRAINT_TRIGGER and str(error).startswith(_OURS):
        return UsageError(str(error))
    kind, sentence = _CODES.get(code & 0xFF, (StoreError, _REFUSED))
    if code == sqlite3.SQLITE_CORRUPT_VTAB:  # a person's own search index, say
        kind, sentence = StoreError, _REFUSED
    elif kind is SchemaError and not _is_broken(path):
        kind, sentence = StoreError, _PASSING
    elif code & 0xFF == sqlite3.SQLITE_CANTOPEN and files.room() < _FILES_OF_SQLITE:
        sentence = files.NO_ROOM
    text = sentence.format(name=path.name)
    if kind is SchemaError or sentence == files.NO_ROOM:
        return kind(text)
    return kind(f"{text} ({_reason(error)})")


#: How often a file is opened before a failed reading counts, and the codes of such readings.
_OPENINGS = 3
_MAY_PASS = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

#: Messages of SQLite that quote names and no values.
_NAMES_ONLY = re.compile(
    r"(UNIQUE|NOT NULL|CHECK|FOREIGN KEY|PRIMARY KEY) constraint failed|unsafe use of|no such |foreign key mismatch|no query solution|"
    r"table .* has (no column|\d+ columns)|cannot (store|commit|start|modify)|datatype mismatch|ambiguous column|"
    r"error in (trigger|view|index)|wrong number of arguments|misuse of|vtable constructor failed|malformed database schema"
)


def _reason(error: sqlite3.Error) -> str:
    """SQLite's code, and its message unless that may quote a value: what a person's own trigger raises, say."""
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    text = str(error).split("\n")[0]
    return f"{name}: {text}" if _NAMES_ONLY.match(text) else str(name)


def _is_broken(path: Path) -> bool:
    """Whether a fresh look finds the file damaged as well: one failed reading is no proof."""
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=1.0)) as conn:
            return bool(conn.execute("PRAGMA quick_check(1)").fetchone() != ("ok",))
    except UnicodeDecodeError:  # see `prepared`
        return True
    except sqlite3.DatabaseError as error:
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def opened(open_it: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
    """What `open_it` opens and reads from; where that fails as a disk may once fail, it is done again."""
    for _ in range(_OPENINGS - 1):
        try:
            return open_it()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _MAY_PASS:
                raise
    return open_it()


def prepared(conn: sqlite3.Connection, pragmas: Iterable[str]) -> sqlite3.Connection:
    """A connection with these PRAGMAs that has read the schema, so that its files are open; else it is closed."""
    try:
        for pragma in pragmas:
            conn.execute(f"PRAGMA {pragma}")
        conn.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except UnicodeDecodeError:
        # What SQLite says about a damaged schema quotes it, and Python cannot read that.
        conn.close()
        damaged = sqlite3.DatabaseError("database disk image is malformed")
        damaged.sqlite_errorcode, damaged.sqlite_errorname = sqlite3.SQLITE_CORRUPT, "SQLITE_CORRUPT"
        raise damaged from None
    except BaseException:
        conn.close()
        raise
    return conn


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn what SQLite raises about `path` into our own errors."""
    try:
        yield
    except sqlite3.Error as error:
        raise of_sqlite(error, path) from None
    except UnicodeEncodeError:
        # Half of a surrogate pair: an argument that was typed in another encoding, say.
        raise UsageError("a value is not UTF-8 text, so the database cannot hold it") from None


def is_there(path: Path) -> bool:
    """Whether there is such a file.

    SQLite follows links, and waits for a pipe: StoreError where it would open anything but plain files, and
    where nobody may look.
    """
    try:
        for suffix in files.DATABASE_FILES:
            name = f"{path.name}{suffix}"
            if odd := files.oddity_at(path.with_name(name)):
                raise StoreError(
                    f"{name} is {odd}, and SQLite needs a plain file there: remove it if it is not yours"
                    if suffix
                    else f"database.url names {odd} ({name}); name a plain file of its own"
                )
        return path.exists()
    except OSError as error:
        raise StoreError(
            f"the database {path.name} cannot be reached ({error.strerror}): check the mode of its folder"
        ) from None


def require(path: Path) -> None:
    """StoreError where there is no such file."""
    if not is_there(path):
        raise StoreError(
            f"there is no database {path.name} yet: run `syncer sync` or `syncer db upgrade` first"
        )
