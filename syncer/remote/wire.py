"""Calls and answers, and parsing of bodies as JSON. The vendors' adapters decide what is a success."""

from __future__ import annotations

import codecs
import contextlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Protocol, TypeAlias
from urllib.parse import urlsplit

import msgspec

from syncer.remote.unpack import DamagedError, RefusedError, unpack

#: Any JSON value.
Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

#: The limits of one answer: rows in a list, objects and lists, values, and levels of nesting.
MOST_ROWS = 50_000
MOST_CONTAINERS = 250_000
MOST_VALUES = 1_000_000
DEEPEST = 100


class Sink(Protocol):
    """Takes the body of a 200 if that begins like the expected content. Its exceptions end the call."""

    @property
    def head(self) -> int:
        """How many bytes it needs to decide."""

    @property
    def taken(self) -> bool:
        """Whether it took the body."""

    def takes(self, head: bytes, measured: bool) -> bool:
        """Whether it takes a body that begins like this. If the body is not `measured`, its end may be missing."""

    def write(self, piece: bytes) -> None:
        """The next bytes of the body, from the first."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a vendor's API. Only its name may appear in messages: the rest contains secrets."""

    name: str  #: the path for messages, `/v3/contact/get`
    method: str
    path: str
    json: Mapping[str, object] | None = field(default=None, repr=False)
    params: Mapping[str, str] | None = field(default=None, repr=False)
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    write: bool = False  #: it changes something upstream, so it is sent only once
    sink: Sink | None = field(default=None, repr=False)  #: takes a body that is not JSON
    unsure_once: bool = False  #: a read that is not repeated if it may have arrived (a login)
    status_only: bool = False  #: the body is not needed


@dataclass(frozen=True, slots=True)
class NotJson:
    """A body that is not JSON; `kind` says what it is (empty, HTML, cut JSON, text, ...)."""

    kind: str
    cut: bool = False  #: it started as JSON and was cut: a transmission error
    refused: bool = False  #: it exceeds a limit, and would do so again


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of any status."""

    status: int
    body: Json | NotJson = field(repr=False)
    server_date: datetime | None = None  #: the `Date` header, UTC
    retry_after: float | None = None  #: seconds, from the `Retry-After` header

    @property
    def ok(self) -> bool:
        """Whether the HTTP status is 2xx."""
        return 200 <= self.status < 300


def split_address(url: str) -> tuple[str, str]:
    """The origin of an address (scheme, host, port), and the path with the query, as a `Call` has them."""
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}", (parts.path or "/") + query


def encode(payload: Mapping[str, object]) -> bytes:
    """A request's JSON: ASCII only, so every text can be encoded."""
    return _encode(payload).encode("ascii")


_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def read_body(raw: bytes | bytearray, encoding: str, content_type: str | None = None) -> Json | NotJson:
    """A body with the given `Content-Encoding` and `Content-Type`. Never raises."""
    try:
        return decode(unpack(raw, encoding), content_type)
    except DamagedError:
        return NotJson("damaged compression", cut=True)
    except RefusedError as error:
        return NotJson(str(error), refused=True)


def decode(content: bytes | bytearray, content_type: str | None = None) -> Json | NotJson:
    """A body as JSON, with tolerance for broken text and odd numbers. Never raises.

    Numbers that SQLite or strict JSON do not know (NaN, Infinity, thousands of digits) become text, so a row's
    `raw` is valid JSON. Bodies beyond the limits are refused before they are parsed.
    """
    containers = content.count(b"{") + content.count(b"[")
    if containers > MOST_CONTAINERS or content.count(b",") > MOST_VALUES:
        return NotJson("an answer of more values than any page has", refused=True)
    value: Json | NotJson
    try:
        value = msgspec.json.decode(content)
    except RecursionError:
        return _TOO_DEEP
    except (msgspec.MsgspecError, ValueError):
        value = _decode_leniently(content, content_type)
    if containers > DEEPEST and _depth(value) > DEEPEST:
        return _TOO_DEEP
    if isinstance(value, dict) and any(isinstance(o, list) and len(o) > MOST_ROWS for o in value.values()):
        return NotJson(f"an answer of more than {MOST_ROWS:,} rows", refused=True)
    return value


_TOO_DEEP = NotJson(f"an answer that is nested deeper than {DEEPEST} levels", refused=True)


def _depth(value: Json | NotJson) -> int:
    """How deep objects and lists are nested, up to the limit."""
    level, depth = [value], 0
    while depth <= DEEPEST and (level := [one for one in level if isinstance(one, (dict, list))]):
        depth += 1
        level = list(chain.from_iterable(one.values() if isinstance(one, dict) else one for one in level))
    return depth


def _decode_leniently(content: bytes | bytearray, content_type: str | None = None) -> Json | NotJson:
    """Parse JSON that is not strict or not valid UTF-8, with Python's slower and more lenient parser."""
    text = _text(content, _charset(content_type))
    if isinstance(text, NotJson):
        return text
    try:
        value: Json = json.loads(text, parse_int=_int, parse_float=_float, parse_constant=str)
    except RecursionError:
        return _TOO_DEEP
    except ValueError:
        return _unreadable(text)
    return value


def _text(content: bytes | bytearray, charset: str | None) -> str | NotJson:
    """A body as text.

    Valid UTF-8 is decoded as UTF-8 (RFC 8259), even if the server declares another charset: text with non-ASCII
    letters in another charset is practically never valid UTF-8. Otherwise, a declared single-byte charset is used, any
    other is refused, and without one only the broken letters are lost.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        if charset is None:
            return content.decode("utf-8", "replace")
    try:
        name = codecs.lookup(charset).name
        if name == "utf-8":
            return content.decode(name, "replace")
        if _SINGLE_BYTE.fullmatch(name):
            if name == "iso8859-1":  # in practice this means windows-1252 (WHATWG Encoding Standard)
                with contextlib.suppress(UnicodeDecodeError):
                    return content.decode("cp1252")
            return content.decode(name)
    except (LookupError, UnicodeDecodeError):
        pass
    return NotJson(f"text in the charset {charset}")


_SINGLE_BYTE = re.compile(r"iso8859-\d+|cp125\d")
_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE | re.ASCII)


def _charset(content_type: str | None) -> str | None:
    """The charset of a Content-Type."""
    found = _CHARSET.search(content_type or "")
    return found.group(1).lower() if found else None


def _int(digits: str) -> int | str:
    return int(digits) if len(digits) < 1000 else digits


def _float(digits: str) -> float | str:
    value = float(digits)
    return value if math.isfinite(value) else digits


def _unreadable(text: str) -> NotJson:
    start = text.lstrip()[:1]
    if start == "":
        return NotJson("empty")
    if start == "<":
        return NotJson("HTML")
    return NotJson("cut JSON", cut=True) if start in "{[" else NotJson("text")
