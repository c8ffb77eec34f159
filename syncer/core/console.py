"""Who may use the web page, what a role allows, and which requests come from the page itself."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

#: How many wrong login links an address may try within `SPAN` seconds.
ATTEMPTS: Final = 10
SPAN: Final = 60.0

#: The most characters of a name.
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
    """The stored hash of a token, which nobody can log in with. Tokens are random, so a plain hash is enough."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def unusable_name(name: str) -> str | None:
    """Why a person cannot have this name, as the end of a sentence, or None."""
    if not name.strip():
        return "is empty"
    if len(name) > LONGEST:
        return f"is longer than {LONGEST} characters"
    if any(unicodedata.category(sign)[0] == "C" for sign in name):
        return "has a line break, or a character that cannot be seen"
    return None


def from_the_page(fetch_site: str | None, origin: str | None, host: str, url: str | None = None) -> bool:
    """Whether a request that changes something was sent by a page of this site.

    Browsers send `Sec-Fetch-Site` over https and to this machine. Without it, `Origin` has to name the requested host,
    or be the page's own address `url`, since some proxies pass on another host.
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
    """Which bytes a `Range` header asks for; None: all of them. Raises ValueError if the file has none of them.

    Several ranges and invalid headers are ignored, as RFC 9110 (14.2) allows.
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
