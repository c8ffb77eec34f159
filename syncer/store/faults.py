"""What SQLite reports, in our own terms: the error to raise, and a sentence for a person.

Which libraries' errors are turned into these is left to `connect.py` and `looking.py`.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from syncer import files
from syncer.errors import SchemaError, StoreBusyError, StoreError, UsageError
from syncer.store import names, views

_BUSY = "the database {name} is held by another program; try again in a moment"
_UNWRITABLE = "the database {name} cannot be written: check the owner and mode of it and its folder"

#: Of a file of another kind, or one that was damaged.
BROKEN = (
    "the file {name} is no intact SQLite database: restore a backup, or name another file in database.url"
)

#: How every refusal begins that our own triggers write.
_OURS = (*names.TABLES, *views.expected())

#: SQLite's primary result codes (https://sqlite.org/rescode.html) -> the error, and what to tell a person.
_CODES: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_PERM: (StoreError, _UNWRITABLE),
    sqlite3.SQLITE_BUSY: (StoreBusyError, _BUSY),
    sqlite3.SQLITE_LOCKED: (StoreBusyError, _BUSY),
    sqlite3.SQLITE_READONLY: (StoreError, _UNWRITABLE),
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
    """What an error of SQLite's about `path` means.

    The original text may quote values, so only refusals written by our own triggers are passed on.
    """
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_CONSTRAINT_TRIGGER and str(error).startswith(_OURS):
        return UsageError(str(error))
    known = _CODES.get(code & 0xFF) if isinstance(code, int) else None
    if known is not None:
        kind, sentence = known
        return kind(sentence.format(name=path.name))
    return StoreError(f"the database {path.name} refused a statement ({type(error).__name__})")


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn what SQLite raises about `path` into our own errors."""
    try:
        yield
    except sqlite3.Error as error:
        raise of_sqlite(error, path) from None
    except UnicodeEncodeError:
        # Half of a surrogate pair: an argument that was typed in another encoding, say.
        raise UsageError("a value is no UTF-8 text, so that the database cannot hold it") from None


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
