"""Who may look up callers, and how often: keys for programs that can send little more than a URL."""

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
    """The key of a request: the first of `X-Api-Key`, `Authorization` and `?key=` that it has.

    `Authorization` is a Bearer token, or the password of Basic, since many phones only know a user and a password.
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
    """A hash of a key to compare with, of equal length for all keys."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def holder(digests: Mapping[str, bytes], key: str | None) -> str | None:
    """The name of a key's owner, or None. It takes the same time for all keys."""
    given, found = digest(key or ""), None
    for name, known in digests.items():
        if hmac.compare_digest(known, given):
            found = name
    return found if key else None


def admit(recent: tuple[float, ...], now: float, most: int, span: float) -> tuple[float, ...] | None:
    """The times of the requests that count, including this one; None if it is more than `most` within `span` seconds.

    `recent` are the times of earlier requests, in seconds of a monotonic clock. A refused request does not count.
    """
    kept = tuple(at for at in recent if at > now - span)
    return None if len(kept) >= most else (*kept, now)


def unusable(key: str) -> str | None:
    """Why a key cannot be used, as the end of a sentence, or None."""
    if len(key) < SHORTEST:
        return (
            f"is too short; write at least {SHORTEST} characters (`openssl rand -hex 16` prints a good key)"
        )
    if not all("!" <= sign <= "~" for sign in key):
        return "has characters that no HTTP header holds; write letters and digits (`openssl rand -hex 16` prints a good key)"
    return None
