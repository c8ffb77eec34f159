"""Who may look callers up, and how often: keys of programs that can send little more than an address."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

#: Requests that one key may make within `SPAN` seconds.
MOST: Final = 20
SPAN: Final = 1.0

#: A shorter key could be guessed.
SHORTEST: Final = 16


def presented(api_key: str | None, authorization: str | None, query: str | None) -> str | None:
    """The key that a request shows: of `X-Api-Key`, `Authorization` and `?key=` the first that is there.

    `Authorization` is a Bearer token, or the password of Basic: many phones know a user and a password only.
    """
    scheme, _, text = (authorization or "").strip().partition(" ")
    match scheme.lower():
        case "bearer":
            header = text.strip()
        case "basic":
            header = _password(text)
        case _:
            header = ""
    return api_key or header or query


def _password(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode().partition(":")[2]
    except ValueError:  # not base64, or not UTF-8
        return ""


def digest(key: str) -> bytes:
    """What is kept of a key to compare with: of equal length for all keys."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def holder(digests: Mapping[str, bytes], key: str | None) -> str | None:
    """Whose key it is, by name; None: nobody's. The time that it takes says nothing about the keys."""
    given, found = digest(key or ""), None
    for name, known in digests.items():
        if hmac.compare_digest(known, given):
            found = name
    return found if key else None


def admit(recent: tuple[float, ...], now: float) -> tuple[float, ...] | None:
    """The moments of the requests that count from now on, with this one; None: it is one too many.

    `recent` are those of the requests before, in seconds of a clock that only goes forward. A refused request
    does not count.
    """
    kept = tuple(at for at in recent if at > now - SPAN)
    return None if len(kept) >= MOST else (*kept, now)


def unusable(key: str) -> str | None:
    """Why a key cannot be used, as the end of a sentence; None: it can."""
    if len(key) < SHORTEST:
        return (
            f"is too short; write at least {SHORTEST} characters (`openssl rand -hex 16` prints a good key)"
        )
    if not all("!" <= sign <= "~" for sign in key):
        return "has characters that no HTTP header holds; write letters and digits (`openssl rand -hex 16` prints a good key)"
    return None
