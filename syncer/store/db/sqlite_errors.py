"""Maps SQLite's errors to ours, with a sentence for people."""

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

#: For a damaged file, or one of another kind.
BROKEN = (
    "the file {name} is not an intact SQLite database: restore a backup, or name another file in database.url"
)

#: For a file that is intact when it is read again.
_PASSING = (
    "the database {name} could not be read, but a second look finds it intact: try again, and check the disk if this "
    "comes back"
)

#: The most files that SQLite opens at once for one connection.
_FILES_OF_SQLITE = 6

#: For errors without an entry below.
_REFUSED = "the database {name} refused a statement; `syncer doctor` looks for the cause"

#: What the messages of our own triggers start with.
_OURS = (*columns.TABLES, *views.expected())

#: SQLite's primary result codes (https://sqlite.org/rescode.html) -> the error, and its sentence.
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
        "the database {name} cannot be opened: check the owner and mode of it and its folder",
    ),
    sqlite3.SQLITE_TOOBIG: (StoreError, "a value is too long for the database {name}"),
    sqlite3.SQLITE_NOTADB: (SchemaError, BROKEN),
}


def of_sqlite(error: sqlite3.Error, path: Path) -> StoreError | UsageError:
    """Map an error of SQLite about `path`. SQLite's message is included if it quotes no value."""
    code = getattr(error, "sqlite_errorcode", None)
    if not isinstance(code, int):
        return StoreError(f"the database {path.name} refused a statement ({type(error).__name__})")
    if code == sqlite3.SQLITE_CONSTRAINT_TRIGGER and str(error).startswith(_OURS):
        return UsageError(str(error))
    kind, sentence = _CODES.get(code & 0xFF, (StoreError, _REFUSED))
    if code == sqlite3.SQLITE_CORRUPT_VTAB:  # for example, a person's own search index
        kind, sentence = StoreError, _REFUSED
    elif kind is SchemaError and not _is_broken(path):
        kind, sentence = StoreError, _PASSING
    elif code & 0xFF == sqlite3.SQLITE_CANTOPEN and files.room() < _FILES_OF_SQLITE:
        sentence = files.NO_ROOM
    text = sentence.format(name=path.name)
    if kind is SchemaError or sentence == files.NO_ROOM:
        return kind(text)
    return kind(f"{text} ({_reason(error)})")


#: How often a file is opened before a failed read counts, and the codes of reads that may succeed later.
_OPENINGS = 3
_MAY_PASS = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

#: SQLite messages that quote names but no values.
_NAMES_ONLY = re.compile(
    r"(UNIQUE|NOT NULL|CHECK|FOREIGN KEY|PRIMARY KEY) constraint failed|unsafe use of|no such |foreign key mismatch|no query solution|"
    r"table .* has (no column|\d+ columns)|cannot (store|commit|start|modify)|datatype mismatch|ambiguous column|"
    r"error in (trigger|view|index)|wrong number of arguments|misuse of|vtable constructor failed|malformed database schema"
)


def _reason(error: sqlite3.Error) -> str:
    """SQLite's code, and its message unless it may quote a value, as a person's own trigger may do."""
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    text = str(error).split("\n")[0]
    return f"{name}: {text}" if _NAMES_ONLY.match(text) else str(name)


def _is_broken(path: Path) -> bool:
    """Read the file again to see whether it is damaged. One failed read proves nothing."""
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=1.0)) as conn:
            return bool(conn.execute("PRAGMA quick_check(1)").fetchone() != ("ok",))
    except UnicodeDecodeError:  # see `prepared`
        return True
    except sqlite3.DatabaseError as error:
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def opened(open_it: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
    """Call `open_it`, and try again after errors that may be temporary disk failures."""
    for _ in range(_OPENINGS - 1):
        try:
            return open_it()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _MAY_PASS:
                raise
    return open_it()


def prepared(conn: sqlite3.Connection, pragmas: Iterable[str]) -> sqlite3.Connection:
    """A connection with these PRAGMAs that has read the schema, so its files are open. Closed if that fails."""
    try:
        for pragma in pragmas:
            conn.execute(f"PRAGMA {pragma}")
        conn.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except UnicodeDecodeError:
        # SQLite's message quotes the damaged schema, which Python cannot decode.
        conn.close()
        damaged = sqlite3.DatabaseError("database disk image is malformed")
        damaged.sqlite_errorcode, damaged.sqlite_errorname = sqlite3.SQLITE_CORRUPT, "SQLITE_CORRUPT"
        raise damaged from None
    except BaseException:
        conn.close()
        raise
    return conn


@contextlib.contextmanager
def mapped(path: Path) -> Iterator[None]:
    """Map errors of SQLite about `path`."""
    try:
        yield
    except sqlite3.Error as error:
        raise of_sqlite(error, path) from None
    except UnicodeEncodeError:
        # Half of a surrogate pair, for example from an argument in another encoding.
        raise UsageError("a value is not UTF-8 text, so the database cannot hold it") from None


def is_there(path: Path) -> bool:
    """Whether there is such a file.

    SQLite follows links and waits for pipes. Raises StoreError for anything but plain files, and for folders that
    cannot be read.
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
    """Raise StoreError if there is no such file."""
    if not is_there(path):
        raise StoreError(
            f"there is no database {path.name} yet: run `syncer sync` or `syncer db upgrade` first"
        )
