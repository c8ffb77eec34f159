"""Lenient reading of one page of rows: what can be understood is, what cannot is set aside.

Nothing here raises on odd content. Which columns a vendor's row has is left to its adapter, and
what becomes of rows set aside, to `sync`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec

from syncer.core.model import Page, Row, SetAside, Value
from syncer.core.normalise import canonical_id, clean, epoch_ms, parse_stamp, utc_text
from syncer.remote.wire import Json, NotJson

#: How a vendor's row of one kind is understood: `(row, its raw JSON)`; raises UnreadableRowError.
ReadRow: TypeAlias = Callable[[Mapping[str, Json], str], Row]

#: The largest integer that SQLite holds.
_LARGEST = 2**63 - 1


class UnreadableRowError(Exception):
    """A row without an identity that we can read; its text is the reason, free of personal data."""


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def raw_json(row: Json) -> str:
    """The vendor's JSON of a row: compact, keys in their order, always storable."""
    try:
        return msgspec.json.encode(row).decode()
    except UnicodeEncodeError:  # half of a pair that a vendor cut in two
        return clean(_encode(row))
    except RecursionError:
        return '"(nested too deeply to be kept)"'


def text(value: Json) -> str | None:
    """Any value as text; numbers as their digits, objects as JSON, null as None."""
    match value:
        case None:
            return None
        case str():
            return clean(value)
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 1e18 else repr(value)
        case _:
            return raw_json(value)


def texts(row: Mapping[str, Json], names: Iterable[str]) -> dict[str, Value]:
    """Columns of that name as text."""
    values: dict[str, Value] = {}
    for name in names:
        value = row.get(name)
        if isinstance(value, str) and value.isascii() and "\x00" not in value:  # most of all
            values[name] = value
        else:
            values[name] = text(value)
    return values


def integer(value: Json) -> int | None:
    """A number, also one written as text; None when it is none or does not fit SQLite."""
    number: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    elif isinstance(value, str) and len(value) < 40:
        digits = value.strip()
        if digits.removeprefix("-").isdecimal():
            number = int(digits)
        elif digits.endswith(".0"):
            number = integer(digits[:-2])
    return number if number is not None and -_LARGEST <= number <= _LARGEST else None


def integer_or_text(value: Json) -> int | str | None:
    """A number as such when it fits, else what came, as text."""
    number = integer(value)
    return text(value) if number is None else number


def count(value: Json) -> int | None:
    """A vendor's total: a number that is not negative, or None."""
    number = integer(value)
    return number if number is not None and number >= 0 else None


def listed(body: Json | NotJson, key: str, counted: str, page: int = 1) -> list[Json] | None:
    """The rows of an answer; None when it holds no list, which is not an empty one.

    An empty list may be written as null, as anything else that is blank, or be left out. That is believed
    where `counted`, the vendor's own number of rows, is 0, and of a page after the first one, as the end of
    the listing, where the answer still looks like one of a list.
    """
    if not isinstance(body, dict):
        return None
    value = body.get(key)
    if isinstance(value, list):
        return value
    is_blank = value is None or value is False or value in ("", {})
    is_page = key in body or counted in body
    return [] if is_blank and (count(body.get(counted)) == 0 or (page > 1 and is_page)) else None


def truthy(value: Json) -> bool:
    """Whether a flag is set; `"false"`, `"0"`, `"null"` and the empty text are not."""
    if isinstance(value, str):
        return value.strip().lower() not in {"", "false", "0", "null", "none"}
    return bool(value)


def stamp(value: Json) -> str | None:
    """A vendor's stamp as UTC text; epoch seconds and milliseconds are read too."""
    if isinstance(value, str):
        read = parse_stamp(value)
        if read is not None:
            return read
    number = integer(value)
    milliseconds = None if number is None else epoch_ms(number)
    return None if milliseconds is None else utc_text(milliseconds)


def identity(row: Mapping[str, Json], field: str) -> str:
    """The row's key in its canonical form; raises UnreadableRowError when there is none, or it is not one.

    A number with a fraction, or so large that JSON readers round it, may stand for several ids.
    """
    value = row.get(field)
    if value is None:
        raise UnreadableRowError(f"{field} is missing")
    if isinstance(value, (bool, dict, list)) or (isinstance(value, float) and not value.is_integer()):
        raise UnreadableRowError(f"{field} is neither text nor a whole number")
    if isinstance(value, float) and abs(value) >= 2**53:
        raise UnreadableRowError(f"{field} is a number too large to be exact")
    key = canonical_id(text(value) or "")
    if not key:
        raise UnreadableRowError(f"{field} is empty")
    return key


def read_page(
    rows: Sequence[Json],
    read: ReadRow,
    *,
    total: int | None = None,
    cursor: str | None = None,
    server_date: datetime | None = None,
) -> Page:
    """One page: the rows that `read` understands, and the others set aside."""
    understood: list[Row] = []
    aside: list[SetAside] = []
    digest = hashlib.sha256()
    for row in rows:
        raw = raw_json(row)
        digest.update(raw.encode() + b"\n")
        if not isinstance(row, dict):
            aside.append(SetAside(raw, "the row is not an object"))
            continue
        try:
            understood.append(read(row, raw))
        except UnreadableRowError as why:
            aside.append(SetAside(raw, str(why)))
    return Page(tuple(understood), tuple(aside), digest.hexdigest(), total, cursor, server_date)
