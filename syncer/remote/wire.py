"""What goes through the api: a call, its answer, and the bytes of a body read as JSON.

Whether an answer means success is left to the vendors' adapters, which know their envelopes.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeAlias

import msgspec

from syncer.remote.unpack import DamagedError, RefusedError, unpack

#: Any JSON value.
Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

#: The most that one answer may hold: rows in a list, objects and lists, values, and levels of nesting.
MOST_ROWS = 50_000
MOST_CONTAINERS = 250_000
MOST_VALUES = 1_000_000
DEEPEST = 100


class Sink(Protocol):
    """Takes the body of a 200, if that begins like what it is for. What it raises ends the call."""

    @property
    def head(self) -> int:
        """By how many bytes it decides."""

    @property
    def taken(self) -> bool:
        """Whether it took the body."""

    def takes(self, head: bytes, measured: bool) -> bool:
        """Whether it takes a body that begins like this. Unless it is `measured`, nothing shows whether it is whole."""

    def write(self, piece: bytes) -> None:
        """The next bytes of the body, from the first."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a vendor's API. Only its name may stand in a message: the rest holds secrets."""

    name: str  #: the path that people know it by, `/v3/contact/get`
    method: str
    path: str
    json: Mapping[str, object] | None = field(default=None, repr=False)
    params: Mapping[str, str] | None = field(default=None, repr=False)
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    write: bool = False  #: it changes something upstream, and so is sent once only
    sink: Sink | None = field(default=None, repr=False)  #: where a body goes that is not JSON
    unsure_once: bool = False  #: a read that is not repeated once it may have arrived (a login)


@dataclass(frozen=True, slots=True)
class NotJson:
    """A body that could not be read as JSON; `kind` says what it is (empty, HTML, cut JSON, text, ...)."""

    kind: str
    cut: bool = False  #: it began well and broke off: the line's fault, not a page of something else
    refused: bool = False  #: it is beyond what is read, and would be the next time, too


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever its status."""

    status: int
    body: Json | NotJson = field(repr=False)
    server_date: datetime | None = None  #: the `Date` header, UTC
    retry_after: float | None = None  #: seconds, from the `Retry-After` header

    @property
    def ok(self) -> bool:
        """Whether the HTTP status is 2xx; says nothing of the body."""
        return 200 <= self.status < 300


def encode(payload: Mapping[str, object]) -> bytes:
    """A request's JSON: ASCII only, so that no text of a person's can fail to encode."""
    return _encode(payload).encode("ascii")


_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def read_body(raw: bytes | bytearray, encoding: str, content_type: str | None = None) -> Json | NotJson:
    """A body as it came, compressed as `Content-Encoding` says and of that `Content-Type`; never raises."""
    try:
        return decode(unpack(raw, encoding), content_type)
    except DamagedError:
        return NotJson("damaged compression", cut=True)
    except RefusedError as error:
        return NotJson(str(error), refused=True)


def decode(content: bytes | bytearray, content_type: str | None = None) -> Json | NotJson:
    """A body as JSON, kind to broken text and odd numbers; never raises.

    Numbers that neither SQLite nor strict JSON knows (NaN, Infinity, thousands of digits) become
    text, so that what is stored as a row's `raw` is JSON that every reader takes. What is too deep, or too
    much, is refused before anything is made of it.
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
    """Levels of objects and lists, as far as they matter."""
    level, depth = [value], 0
    while depth <= DEEPEST and (level := [one for one in level if isinstance(one, dict | list)]):
        depth += 1
        level = [one for outer in level for one in (outer.values() if isinstance(outer, dict) else outer)]
    return depth


def _decode_leniently(content: bytes | bytearray, content_type: str | None = None) -> Json | NotJson:
    """What is not strict JSON in clean UTF-8: Python's own reader is slower, and takes more."""
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

    What is valid UTF-8 is UTF-8 (RFC 8259), whatever a server's default says: text of another charset
    is not, by chance, once it has letters. Else a single-byte charset is honoured where it is declared,
    any other refused, and without one the broken letters are lost and the others kept.
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
            if name == "iso8859-1":  # what says so is windows-1252 in practice (WHATWG Encoding Standard)
                with contextlib.suppress(UnicodeDecodeError):
                    return content.decode("cp1252")
            return content.decode(name)
    except (LookupError, UnicodeDecodeError):
        pass
    return NotJson(f"text in the charset {charset}")


_SINGLE_BYTE = re.compile(r"iso8859-\d+|cp125\d")
_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE | re.ASCII)


def _charset(content_type: str | None) -> str | None:
    """The charset that a Content-Type declares."""
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
