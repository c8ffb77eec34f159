"""Lenient parsing of one page of rows. Rows that cannot be parsed are set aside.

Odd content raises nothing but UnreadableRowError, or BadAnswerError for an answer that is not a list. The adapters
know the columns of each vendor's rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec

from syncer.core.model import Page, Row, SetAside, Value
from syncer.core.normalise import canonical_id, clean, epoch_ms, parse_stamp, utc_text
from syncer.errors import BadAnswerError
from syncer.remote.wire import Answer, Json

#: Parses a row of one kind: `(row, its raw JSON)`. Raises UnreadableRowError.
ReadRow: TypeAlias = Callable[[Mapping[str, Json], str], Row]

#: Called with the next cursor of a listing, before the rows of its page are parsed.
Announce: TypeAlias = Callable[[str], Awaitable[None]]

#: SQLite's largest integer.
_LARGEST = 2**63 - 1


class UnreadableRowError(Exception):
    """A row without a readable id. Its text is the reason, without personal data."""


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def raw_json(row: Json) -> str:
    """The vendor's JSON of a row: compact, keys in their order, always valid UTF-8."""
    try:
        return msgspec.json.encode(row).decode()
    except UnicodeEncodeError:  # half of a surrogate pair that a vendor has cut
        return clean(_encode(row))
    except RecursionError:
        return '"(nested too deeply to be kept)"'


def text(value: Json) -> str | None:
    """Any value as text: numbers as digits, objects as JSON, null as None."""
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
    """The columns with these names as text."""
    values: dict[str, Value] = {}
    for name in names:
        value = row.get(name)
        if isinstance(value, str) and value.isascii() and "\x00" not in value:  # most values
            values[name] = value
        else:
            values[name] = text(value)
    return values


def integer(value: Json) -> int | None:
    """A number, also if written as text; None if it is not a number or does not fit SQLite."""
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
    """A number if it fits, else the value as text."""
    number = integer(value)
    return text(value) if number is None else number


def count(value: Json) -> int | None:
    """A vendor's total: a number that is not negative, or None."""
    number = integer(value)
    return number if number is not None and number >= 0 else None


def listed(
    answer: Answer, key: str, counted: str, page: int, *, source: str, call: str
) -> tuple[Mapping[str, Json], list[Json]]:
    """The body of an answer and its rows. Raises BadAnswerError if it has no list: that is not an empty one.

    An empty list may be null, otherwise blank, or absent. That is accepted if `counted`, the vendor's own number of
    rows, is 0, and at the end of a listing (a page after the first) if the answer otherwise looks like a page.
    """
    body = answer.body
    if isinstance(body, dict):
        value = body.get(key)
        if isinstance(value, list):
            return body, value
        is_blank = value is None or value is False or value in ("", {})
        is_page = key in body or counted in body
        if is_blank and (count(body.get(counted)) == 0 or (page > 1 and is_page)):
            return body, []
    raise BadAnswerError(source, call, f"the answer has no list of {key}; not read as empty")


def row_of(page: Page, key: str, *, source: str, call: str) -> Row | None:
    """The one row that was asked for by its id; None if the answer is empty.

    Raises BadAnswerError if the answer has only other rows, which proves nothing about this one.
    """
    for row in page.rows:
        if row.key == key:
            return row
    if page.size:
        text = "it was asked for one row and answered only with others, which proves nothing about this one"
        raise BadAnswerError(source, call, text)
    return None


def truthy(value: Json) -> bool:
    """Whether a flag is set: `"false"`, `"0"`, `"null"` and '' are not."""
    if isinstance(value, str):
        return value.strip().lower() not in {"", "false", "0", "null", "none"}
    return bool(value)


def stamp(value: Json) -> str | None:
    """A vendor's timestamp, or epoch seconds or milliseconds, as UTC text."""
    if isinstance(value, str):
        read = parse_stamp(value)
        if read is not None:
            return read
    number = integer(value)
    milliseconds = None if number is None else epoch_ms(number)
    return None if milliseconds is None else utc_text(milliseconds)


def identity(row: Mapping[str, Json], field: str) -> str:
    """The row's id in its canonical form. Raises UnreadableRowError if it is missing or invalid.

    A number with a fraction, or one so large that JSON readers round it, could mean several ids.
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
    """One page: the rows that `read` can parse, and the others set aside."""
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
