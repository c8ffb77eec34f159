"""Who may use the page for people, what a role allows, and which requests come from the page itself."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

#: Wrong login links that one address may try within `SPAN` seconds.
ATTEMPTS: Final = 10
SPAN: Final = 60.0

#: Characters that a name may have at most.
LONGEST: Final = 60


class Role(StrEnum):
    """What a person may do. Each includes the ones before."""

    LOOK = "look"
    EDIT = "edit"
    APPROVE = "approve"

    def includes(self, other: Role) -> bool:
        """Whether this role may do what `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


def digest(token: str) -> str:
    """What is kept of a token: who reads it cannot log in with it. Tokens are random, so a plain hash will do."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def unusable_name(name: str) -> str | None:
    """Why a person cannot be called so, as the end of a sentence; None: they can."""
    if not name.strip():
        return "is empty"
    if len(name) > LONGEST:
        return f"is longer than {LONGEST} characters"
    if any(unicodedata.category(sign)[0] == "C" for sign in name):
        return "has a line break, or a character that cannot be seen"
    return None


@dataclass(frozen=True, slots=True)
class Attempts:
    """When an address tried wrong links of late, in seconds of a clock that only goes forward."""

    at: tuple[float, ...] = ()

    def recent(self, now: float) -> tuple[float, ...]:
        """Those that still count."""
        return tuple(one for one in self.at if one > now - SPAN)

    def barred(self, now: float) -> bool:
        """Whether the address has to wait."""
        return len(self.recent(now)) >= ATTEMPTS

    def another(self, now: float) -> Attempts:
        """One more."""
        return Attempts((*self.recent(now), now))


def from_the_page(fetch_site: str | None, origin: str | None, host: str, url: str | None = None) -> bool:
    """Whether a request that changes something was sent by a page of this very site.

    Browsers send `Sec-Fetch-Site` by https and to this machine; where it is missing, `Origin` has to name the host that
    was asked, or be the page's own address `url`: some proxies pass on another host.
    """
    if fetch_site is not None:
        return fetch_site == "same-origin"
    if url is not None and origin is not None and origin.lower() == url.lower():
        return True
    scheme, _, place = (origin or "").lower().partition("://")
    default = {"http": ":80", "https": ":443"}.get(scheme, "")
    return bool(place and default) and place.removesuffix(default) == host.lower().removesuffix(default)


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a file, from `first` up to and including `last`."""

    first: int
    last: int


_RANGE = re.compile(r"bytes[ \t]*=[ \t]*([0-9]{0,18})[ \t]*-[ \t]*([0-9]{0,18})[ \t]*", re.IGNORECASE)


def asked_span(header: str | None, size: int) -> Span | None:
    """Which bytes a `Range` header asks for; None: all of them. ValueError: none of those is there.

    Several ranges, and what cannot be read, count as none (RFC 9110, 14.2: a server may ignore the header).
    """
    match = _RANGE.fullmatch(header or "")
    if match is None or match[1] == match[2] == "":
        return None
    if not match[1]:
        length = min(int(match[2]), size)
        if length == 0:
            raise ValueError("no byte of it")
        return Span(size - length, size - 1)
    first = int(match[1])
    last = min(int(match[2]), size - 1) if match[2] else size - 1
    if match[2] and int(match[2]) < first:
        return None  # it is not valid
    if first >= size:
        raise ValueError("it begins after the end")
    return Span(first, last)
