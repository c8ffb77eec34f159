"""Stores tokens between runs of the program, in a small file of mode 0600 that all processes share.

It contains no passwords. A salted hash binds an entry to its credentials, so changed credentials drop the token.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import secrets
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from syncer import files
from syncer.core.due import time_left
from syncer.core.normalise import utc_text

_VERSION = 1
#: The longest use of a token after its login.
LONGEST_LIFE = timedelta(days=30)
_LOCK_KEYS = frozenset({"lock_bound", "locked_until", "refusals"})
#: How long to wait for another process that logs in, and how often to check, in seconds.
_TURN, _LOOK = 40.0, 0.1

#: The most bytes that are read from the file: far more than any number of accounts needs.
_MOST = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Token:
    """A token from a login."""

    text: str = field(repr=False)
    expires_at: datetime | None  #: UTC; None: unknown
    days_left: int | None = None  #: until the password expires (Smartflo), from the login

    def usable(self, now: datetime, margin: float) -> bool:
        """Whether it is valid for `margin` more seconds. False for an implausibly late end."""
        return (
            self.expires_at is None or time_left(self.expires_at, now, LONGEST_LIFE).total_seconds() > margin
        )


@dataclass(frozen=True, slots=True)
class Lockout:
    """No login before `until`, after `refusals` in a row."""

    until: datetime
    refusals: int


class TokenStore:
    """Tokens and lockouts by account label. `path` None keeps them in memory only.

    A file that is damaged, or that others could read, is ignored and replaced. If it cannot be written,
    `warn` is called with a sentence, and the tokens are kept only in memory.
    """

    def __init__(self, path: Path | None, warn: Callable[[str], object] = lambda _: None) -> None:
        self.path = path
        self._warn = warn
        self._seen: tuple[int, int, int] | None = None
        self._salt = secrets.token_hex(16)
        self._entries: dict[str, dict[str, object]] = {}
        self._hashes: dict[tuple[str, ...], str] = {}

    def __repr__(self) -> str:
        return f"TokenStore({self.path})"

    def fingerprint(self, *parts: str) -> str:
        """The hash that binds an entry to its credentials, slow by design."""
        self._refresh()
        asked = (self._salt, *parts)
        if asked not in self._hashes:
            secret = json.dumps(parts).encode()
            if self.path is None:  # it never leaves this process, so a fast one is enough
                hashed = hashlib.sha256(secret).digest()
            else:
                hashed = hashlib.scrypt(secret, salt=self._salt.encode(), n=2**13, r=8, p=1, dklen=24)
            self._hashes[asked] = hashed.hex()
        return self._hashes[asked]

    def get(self, account: str, *credentials: str) -> Token | None:
        """The token of these credentials, of any age."""
        bound = self.fingerprint(*credentials)
        entry = self._entries.get(account, {})
        text = entry.get("token")
        if entry.get("bound") != bound or not isinstance(text, str) or not text:
            return None
        days = entry.get("days_left")
        return Token(text, _moment(entry.get("expires_at")), days if isinstance(days, int) else None)

    def put(self, account: str, token: Token, *credentials: str) -> None:
        """Store a new token, and end the account's lockout."""
        bound = self.fingerprint(*credentials)
        entry: dict[str, object] = {"bound": bound, "token": token.text}
        if token.expires_at is not None:
            entry["expires_at"] = utc_text(token.expires_at)
        if token.days_left is not None:
            entry["days_left"] = token.days_left
        self._write(account, entry)

    def clear(self, account: str, *, refused: str) -> None:
        """Delete the token `refused`, unless another process has replaced it."""
        self._refresh()
        entry = self._entries.get(account, {})
        if entry.get("token") == refused:
            self._write(account, {key: value for key, value in entry.items() if key in _LOCK_KEYS})

    def lockout(self, account: str, binding: tuple[str, ...]) -> Lockout | None:
        """The lockout of this binding (see `lock`), even if it is over."""
        bound = self.fingerprint(*binding)
        entry = self._entries.get(account, {})
        until, refusals = _moment(entry.get("locked_until")), entry.get("refusals")
        if entry.get("lock_bound") != bound or until is None:
            return None
        return Lockout(until, refusals if isinstance(refusals, int) else 1)

    def lock(self, account: str, lockout: Lockout, binding: tuple[str, ...]) -> None:
        """Store that no login with this binding may be tried before `lockout.until`.

        The binding is the login name if the vendor locked it, or the name and the password if they were refused.
        """
        bound = self.fingerprint(*binding)
        entry = dict(self._entries.get(account, {}))
        entry |= {
            "lock_bound": bound,
            "locked_until": utc_text(lockout.until),
            "refusals": lockout.refusals,
        }
        self._write(account, entry)

    @asynccontextmanager
    async def turn(self, account: str, sleep: Callable[[float], Awaitable[None]]) -> AsyncIterator[None]:
        """One login at a time, across processes; continues without the lock after 40 s."""
        handle = self._lock_file(account)
        try:
            for _ in range(int(_TURN / _LOOK)):
                if handle is None or _locked(handle):
                    break
                await sleep(_LOOK)
                await asyncio.sleep(0)
            yield
        finally:
            if handle is not None:
                os.close(handle)

    def _lock_file(self, account: str) -> int | None:
        if self.path is None:
            return None
        infix = "." + hashlib.sha256(account.encode()).hexdigest()[:12] if account else ""
        try:
            return files.open_plain(
                self.path.with_name(f"{self.path.name}{infix}.lock"), os.O_RDWR | os.O_CREAT
            )
        except OSError as error:
            self._warn_unwritable(error)
            return None

    def _refresh(self) -> None:
        """Read the file again if it has changed."""
        if self.path is None:
            return
        try:
            found = self.path.lstat()
            seen = _version(found)
            if seen == self._seen:
                return
            content = None if _foreign(found) else json.loads(files.read(self.path, _MOST))
        except FileNotFoundError:
            if self._seen is not None:
                self._entries, self._seen = {}, None
            return
        except (OSError, ValueError, RecursionError):
            content, seen = None, None
        self._seen, self._entries = seen, {}
        if isinstance(content, dict) and content.get("version") == _VERSION:
            accounts, salt = content.get("accounts"), content.get("salt")
            if isinstance(accounts, dict) and isinstance(salt, str) and salt:
                self._salt = salt
                self._entries = {str(key): one for key, one in accounts.items() if isinstance(one, dict)}

    def _write(self, account: str, entry: dict[str, object]) -> None:
        """Store one account's entry. Other entries, also of other processes, stay."""
        if self.path is None:
            self._entries[account] = entry
            return
        guard = self._lock_file("")
        try:
            if guard is not None:
                fcntl.flock(guard, fcntl.LOCK_EX)  # held for milliseconds
                self._refresh()
            self._entries = {**self._entries, account: entry}
            self._replace_file(self.path)
        finally:
            if guard is not None:
                os.close(guard)

    def _replace_file(self, path: Path) -> None:
        content = {"version": _VERSION, "salt": self._salt, "accounts": self._entries}
        fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
        try:
            files.replace(path, fresh, json.dumps(content))
            self._seen = _version(path.lstat())
        except OSError as error:
            self._warn_unwritable(error)

    def _warn_unwritable(self, error: OSError) -> None:
        self._warn(
            f"the token file {self.path} cannot be written ({error.strerror}); "
            "each start of the program has to log in again. Check the owner and mode of it and its folder"
        )


def _version(found: os.stat_result) -> tuple[int, int, int]:
    """Changes with each version of the file."""
    return found.st_ino, found.st_mtime_ns, found.st_size


def _foreign(found: os.stat_result) -> bool:
    """Whether someone else could have read or written it."""
    return bool(stat.S_IMODE(found.st_mode) & 0o077) or found.st_uid != os.geteuid()


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _moment(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(value).astimezone(UTC) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None
