"""Every error of the program, named by what the caller should do about it.

    SyncerError
      ConfigError(problems)             all of them at once; exit 78
      RemoteError(source, call)
        TransientError(retry_after)     never arrived, 429, 5xx or junk on a read: back off
        OutcomeUnknownError             a write was sent and not answered: keep the intent, look it up
        AuthError(locked_until)         pause this account, log it once; exit 77
        PermissionDeniedError(code)     good credentials that may not make this call: pause only this job
        RejectedError(code, text)       upstream refused this content
        BadAnswerError                  an answer of the wrong shape: never read as "empty"
      StoreError                        the database file: full, read-only, not a database
        StoreBusyError                  another program uses it: try again; exit 75
        SchemaError                     written by a newer version, or damaged; exit 78
      LowDiskError                      the disk is nearly full: nothing more is pulled
      FolderError                       a folder of files cannot be used
      LockedError(holder)               another process runs this job; exit 75
      UsageError                        the command cannot be carried out as given; exit 1

Messages contain no secrets and no personal data, only accounts, calls, codes and row ids. This module imports no other
module of the program, so every package may raise these errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime


class SyncerError(Exception):
    """All errors that the program raises on purpose. `str()` is a sentence for people."""


class ConfigError(SyncerError):
    """The config cannot be used. `problems` are full sentences, each with its key."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class RemoteError(SyncerError):
    """A vendor did not do what was asked of it.

    `source` is the account's label (`telecmi.main`), `call` the path (`/v3/contact/get`), `text` our sentence without
    personal data, and `code` the vendor's own number (400, 409, ...) if it sent one.
    """

    sent: bool = True  #: whether the request may have been processed; see TransientError

    def __init__(self, source: str, call: str, text: str, *, code: int | None = None) -> None:
        self.source = source
        self.call = call
        self.text = text
        self.code = code
        super().__init__(f"{source} {call}: {text}")


class TransientError(RemoteError):
    """Temporary: never arrived, refused because of load (429), or a read with a broken answer.

    `retry_after` is what the vendor asked for, in seconds, or None. Unless `sent`, the request never arrived, or was
    refused unread.
    """

    def __init__(
        self, source: str, call: str, text: str, *, retry_after: float | None = None, sent: bool = False
    ) -> None:
        super().__init__(source, call, text)
        self.retry_after = retry_after
        self.sent = sent


class OutcomeUnknownError(RemoteError):
    """A write was sent and no usable answer came back: it may or may not have been applied."""


class AuthError(RemoteError):
    """The credentials were refused, even after a new login.

    `locked_until` is set (UTC) if the vendor locked the account for a time.
    """

    def __init__(
        self,
        source: str,
        call: str,
        text: str,
        *,
        locked_until: datetime | None = None,
        code: int | None = None,
    ) -> None:
        super().__init__(source, call, text, code=code)
        self.locked_until = locked_until


class PermissionDeniedError(RemoteError):
    """The credentials are good, as another call shows, but may not make this call."""


class RejectedError(RemoteError):
    """The vendor understood the request and refused its content.

    `field` is the field that the vendor's message names, if it is one of ours.
    """

    code: int

    def __init__(self, source: str, call: str, text: str, *, code: int, field: str | None = None) -> None:
        super().__init__(source, call, text, code=code)
        self.field = field


class BadAnswerError(RemoteError):
    """An answer of an unknown shape. It proves nothing, and never means an empty list."""


class StoreError(SyncerError):
    """The database file could not be read or written."""


class StoreBusyError(StoreError):
    """Another process blocked the database for longer than we wait."""


class SchemaError(StoreError):
    """A newer version wrote the database, or it is not a syncer database."""


class LowDiskError(SyncerError):
    """The database's disk has less free space than the reserve: nothing more is pulled."""


class FolderError(SyncerError):
    """A folder that the config names, or a file in it, could not be read or written."""


class LockedError(SyncerError):
    """Another process runs this job; `holder` says who, in words."""

    def __init__(self, what: str, holder: str, advice: str = "try again when it has finished") -> None:
        super().__init__(f"{what} is running elsewhere ({holder}); {advice}")


class UsageError(SyncerError):
    """The command cannot be carried out as given (an unknown row, an ambiguous number)."""
