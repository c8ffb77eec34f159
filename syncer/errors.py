"""Every error of the program, named by what the caller should do about it.

    SyncerError
      ConfigError(problems)             all of them at once; exit 78
      RemoteError(source, call)
        TransientError(retry_after)     never arrived, 429, 5xx or junk on a read: back off
        OutcomeUnknownError             a write was sent and not answered: keep the intent, look, decide
        AuthError(locked_until)         pause this account, say it once; exit 77
        PermissionDeniedError(code)     good credentials that may not make this call: pause only this job
        RejectedError(code, text)       upstream said no to this content
        BadAnswerError                  an answer of the wrong shape: never read as "empty"
      StoreError                        the database file: full, read-only, not a database
        StoreBusyError                  someone else holds it: try again; exit 75
        SchemaError                     written by a newer version, or damaged; exit 78
      LowDiskError                      the disk is nearly full: nothing more is pulled
      FolderError                       a folder of files cannot be used
      LockedError(holder)               another process runs this job; exit 75
      UsageError                        what was asked for cannot be done as said; exit 1

No message may hold a secret or personal data: accounts, calls, codes and row ids only. This
module imports nothing of ours, so that every room may raise these.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime


class SyncerError(Exception):
    """Whatever this program raises on purpose; `str()` of it is a sentence for a person."""


class ConfigError(SyncerError):
    """The configuration cannot be used; `problems` holds one full sentence each, with its key."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class RemoteError(SyncerError):
    """A vendor did not do what was asked of it.

    `source` is the account's label (`telecmi.main`), `call` the path (`/v3/contact/get`).
    """

    def __init__(self, source: str, call: str, text: str) -> None:
        self.source = source
        self.call = call
        self.text = text
        super().__init__(f"{source} {call}: {text}")


class TransientError(RemoteError):
    """Not now: never arrived, refused for load (429), or a read that came back broken.

    `retry_after` is in seconds, as the vendor asked, or None. `sent` tells whether the request may
    have reached the vendor (False: it certainly did not, or was turned away unread).
    """

    def __init__(
        self, source: str, call: str, text: str, *, retry_after: float | None = None, sent: bool = False
    ) -> None:
        super().__init__(source, call, text)
        self.retry_after = retry_after
        self.sent = sent


class OutcomeUnknownError(RemoteError):
    """A write went out and no usable answer came back: it may or may not have been applied.

    `code` is the vendor's own number when it said so itself that it failed (500 inside an answer).
    """

    def __init__(self, source: str, call: str, text: str, *, code: int | None = None) -> None:
        super().__init__(source, call, text)
        self.code = code


class AuthError(RemoteError):
    """The credentials were refused, also after one fresh login.

    `locked_until` is set (UTC) when the vendor locked the account out for a time; `code` is its own
    number where it gave one.
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
        super().__init__(source, call, text)
        self.locked_until = locked_until
        self.code = code


class PermissionDeniedError(RemoteError):
    """The credentials are good, as another call shows, and may not make this call.

    `code` is the vendor's own number where it gave one.
    """

    def __init__(self, source: str, call: str, text: str, *, code: int | None = None) -> None:
        super().__init__(source, call, text)
        self.code = code


class RejectedError(RemoteError):
    """The vendor understood the request and said no to its content.

    `code` is the vendor's own number (400, 409, ...); `text` our sentence without personal data;
    `field` the vendor field that its message names, where it names one of ours.
    """

    def __init__(self, source: str, call: str, text: str, *, code: int, field: str | None = None) -> None:
        super().__init__(source, call, text)
        self.code = code
        self.field = field


class BadAnswerError(RemoteError):
    """An answer of a shape that we do not know; it proves nothing, least of all emptiness."""


class StoreError(SyncerError):
    """The database file could not be read or written."""


class StoreBusyError(StoreError):
    """Another process held the database for longer than we wait."""


class SchemaError(StoreError):
    """The database was written by a newer version, or is not one of ours."""


class LowDiskError(SyncerError):
    """The disk of the database has less room than is kept in reserve: nothing more is pulled into it."""


class FolderError(SyncerError):
    """A folder that the config names, or a file in it, could not be read or written."""


class LockedError(SyncerError):
    """Another process runs this job; `holder` says who, in words."""

    def __init__(self, what: str, holder: str, advice: str = "try again when it has finished") -> None:
        self.what = what
        self.holder = holder
        super().__init__(f"{what} is running elsewhere ({holder}); {advice}")


class UsageError(SyncerError):
    """What was asked for cannot be done as it was said (an unknown row, an ambiguous number)."""
