"""Who may use the page: one-time login links and sessions, in a small file of mode 0600 next to the database.

The file contains only hashes of tokens. Commands and the daemon share it, and changes apply to the next request.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from syncer import files
from syncer.core.console import Role, digest
from syncer.core.normalise import utc_text
from syncer.errors import StoreBusyError, StoreError
from syncer.locks import Locks

#: How long a link is valid.
LINK: Final = timedelta(hours=1)

#: Limits of the file, in bytes and entries: far more than an office needs.
_LARGEST, _ENTRIES = 1024 * 1024, 2000

#: How long to wait for another process that changes the file, in seconds.
_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Grant:
    """An unused link, or a session."""

    kind: Literal["link", "session"]
    digest: str
    name: str
    role: Role
    created_at: str
    expires_at: str
    lasts_s: int  #: how long the session lasts after the login


class Sessions:
    """The file of links and sessions. `now` is the wall clock."""

    def __init__(self, database: Path, now: Callable[[], datetime], group: str | None = None) -> None:
        self.path = database.with_name(f"{database.name}.sessions")
        self._locks = Locks(database, "syncer console", group)
        self._now = now
        self._seen: tuple[int, int, int] | None = None
        self._entries: tuple[Grant, ...] = ()

    def invite(self, name: str, role: Role, lasts: timedelta) -> str:
        """Create a link, and return its token."""
        token = secrets.token_urlsafe(32)
        with self._changing() as entries:
            entries.append(self._entry("link", token, name, role, LINK, lasts))
        return token

    def find_link(self, token: str) -> Grant | None:
        """The link with this token, if it is valid."""
        return self._find("link", token)

    def spend(self, token: str) -> tuple[str, Grant] | None:
        """Exchange a link for a session: its token and the session, or None if the link is not valid."""
        if self.find_link(token) is None:  # a wrong link need not wait for the lock
            return None
        with self._changing() as entries:
            found = next((one for one in entries if (one.kind, one.digest) == ("link", digest(token))), None)
            if found is None:
                return None
            entries.remove(found)
            created = secrets.token_urlsafe(32)
            lasts = timedelta(seconds=found.lasts_s)
            session = self._entry("session", created, found.name, found.role, lasts, lasts)
            entries.append(session)
        return created, session

    def find(self, token: str) -> Grant | None:
        """The session with this token, if it is valid."""
        return self._find("session", token)

    def end(self, token: str) -> None:
        """End the session with this token."""
        with self._changing() as entries:
            entries[:] = [one for one in entries if one.digest != digest(token)]

    def revoke(self, name: str) -> tuple[int, int]:
        """End everything of a person. Returns the number of sessions and of links that ended."""
        with self._changing() as entries:
            gone = [one for one in entries if one.name == name]
            entries[:] = [one for one in entries if one.name != name]
        ended = sum(one.kind == "session" for one in gone)
        return ended, len(gone) - ended

    def usable(self) -> tuple[Grant, ...]:
        """All valid links and sessions, oldest first."""
        self._refresh()
        now = utc_text(self._now())
        return tuple(one for one in self._entries if one.expires_at > now)

    # -- the file

    def _entry(
        self,
        kind: Literal["link", "session"],
        token: str,
        name: str,
        role: Role,
        valid: timedelta,
        lasts: timedelta,
    ) -> Grant:
        now = self._now()
        seconds = round(lasts.total_seconds())
        return Grant(kind, digest(token), name, role, utc_text(now), utc_text(now + valid), seconds)

    def _find(self, kind: str, token: str) -> Grant | None:
        wanted = digest(token)
        return next((one for one in self.usable() if one.kind == kind and one.digest == wanted), None)

    def _refresh(self) -> None:
        """Read the file again if it has changed."""
        try:
            found = self.path.lstat()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            if seen != self._seen:
                self._entries = _parse(files.read(self.path, _LARGEST))
                self._seen = seen
        except FileNotFoundError:
            self._entries, self._seen = (), None
        except OSError as error:
            raise StoreError(
                f"the file {self.path.name} of the page's sessions cannot be read ({error.strerror}): check its owner and mode"
            ) from None
        except (ValueError, KeyError, TypeError):
            raise StoreError(
                f"the file {self.path.name} of the page's sessions is damaged: remove it, and invite everybody again"
            ) from None

    @contextlib.contextmanager
    def _changing(self) -> Iterator[list[Grant]]:
        """Change the valid entries, and write them, under a lock. Expired ones are dropped."""
        handle = self._lock()
        try:
            entries = list(self.usable())
            yield entries
            if len(entries) > _ENTRIES:
                raise StoreError(
                    "there are too many sessions and links of the page: end some with `syncer console revoke`"
                )
            self._write(entries)
        finally:
            self._locks.release(handle)

    def _lock(self) -> int:
        end = time.monotonic() + _PATIENCE
        while (handle := self._locks.try_acquire("console")) is None:
            if time.monotonic() > end:
                raise StoreBusyError(f"another process holds {self.path.name}: try again")
            time.sleep(0.02)
        return handle

    def _write(self, entries: list[Grant]) -> None:
        text = json.dumps({"version": 1, "entries": [asdict(one) for one in entries]}, ensure_ascii=False)
        part = self.path.with_name(f".{self.path.name}.new")
        try:
            files.replace(self.path, part, text)
        except OSError as error:
            raise StoreError(
                f"the file {self.path.name} of the page's sessions cannot be written ({error.strerror}): "
                "check the owner and mode of its folder"
            ) from None


def _parse(content: bytes) -> tuple[Grant, ...]:
    found: dict[str, Any] = json.loads(content)
    return tuple(Grant(**(one | {"role": Role(one["role"])})) for one in found["entries"])
