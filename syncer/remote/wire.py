"""What goes through the door: a call, its answer, and the bytes of a body read as JSON.

Whether an answer means success is left to the vendors' adapters, which know their envelopes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

import msgspec

#: Any JSON value.
Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"


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
    unsure_once: bool = False  #: a read that is not repeated once it may have arrived (a login)


@dataclass(frozen=True, slots=True)
class NotJson:
    """A body that is no JSON; `kind` says what it looks like (empty, HTML, cut JSON, text)."""

    kind: str

    @property
    def cut(self) -> bool:
        """Whether it began as JSON and broke off: the line's fault, not a page of something else."""
        return self.kind == "cut JSON"


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


def decode(content: bytes) -> Json | NotJson:
    """A body as JSON, kind to broken text and odd numbers; never raises.

    Numbers that neither SQLite nor strict JSON knows (NaN, Infinity, thousands of digits) become
    text, so that what is stored as a row's `raw` is JSON that every reader takes.
    """
    try:
        value: Json = msgspec.json.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _decode_leniently(content)
    return value


def _decode_leniently(content: bytes) -> Json | NotJson:
    """What is no strict JSON in clean UTF-8: Python's own reader is slower, and takes more."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("utf-8", "replace")
    try:
        value: Json = json.loads(text, parse_int=_int, parse_float=_float, parse_constant=str)
    except (ValueError, RecursionError):
        return NotJson(_kind(text))
    return value


def _int(digits: str) -> int | str:
    return int(digits) if len(digits) < 1000 else digits


def _float(digits: str) -> float | str:
    value = float(digits)
    return value if math.isfinite(value) else digits


def _kind(text: str) -> str:
    start = text.lstrip()[:1]
    if start == "":
        return "empty"
    if start == "<":
        return "HTML"
    return "cut JSON" if start in "{[" else "text"
