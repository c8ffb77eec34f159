"""Converts the values of a row for PostgreSQL, and computes the digest that compares two copies of a row.

The digest is taken from the texts that PostgreSQL makes of its own values, so that it can compute the same one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final, NoReturn

from syncer.core.model import Value
from syncer.core.normalise import parse_stamp

#: Replaces characters that PostgreSQL cannot hold.
REPLACEMENT: Final = "\ufffd"

#: Between two columns of a row, before a value, and in place of NULL.
SEPARATOR, PRESENT, NULL = "\x1f", "=", "~"

#: JSON escapes of NUL, and of surrogates.
_ODD_ESCAPE: Final = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
#: Numbers too large for `numeric`: an exponent of five digits, or 4000 digits.
_HUGE: Final = re.compile(r"\d[eE][+-]?\d{5}|\d{4000}")
_HALVES: Final = re.compile("[\x00\ud800-\udfff]")

#: A time as we write it. `fromisoformat` alone also takes forms that PostgreSQL does not.
_OWN_STAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)

#: Levels of JSON that are kept as JSON.
_DEPTH: Final = 200


class Kind(Enum):
    """The type of a published column."""

    NUMBER = "bigint"
    TEXT = "text"
    TIME = "timestamptz"
    JSON = "jsonb"


def text(value: Value) -> str | None:
    """Text as PostgreSQL can hold it."""
    if value is None:
        return None
    written = str(value)
    if written.isascii() and "\0" not in written:  # nearly always; a third of the time of a first publish
        return written
    return _HALVES.sub(REPLACEMENT, written)


def stamp(value: Value) -> str | None:
    """A time in UTC to the millisecond; None for one that cannot be read."""
    if value is None:
        return None
    written = str(value)
    if _OWN_STAMP.fullmatch(written):  # nearly always
        try:
            datetime.fromisoformat(written)
        except ValueError:
            return None
        return written
    return parse_stamp(written)


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)


def document(value: Value) -> str | None:
    """JSON that `jsonb` accepts. Text that is not JSON becomes a JSON string."""
    if value is None:
        return None
    written = str(value)
    try:
        if _HUGE.search(written):
            raise ValueError
        found = json.loads(written, parse_constant=_refuse)
        if _deeper(found, _DEPTH):
            raise ValueError
        if _ODD_ESCAPE.search(written) or _HALVES.search(written):
            return json.dumps(_clean(found), ensure_ascii=False, allow_nan=False)  # 1e400 is infinite here
    except (ValueError, RecursionError):
        return json.dumps(text(written), ensure_ascii=False)
    return written


def _deeper(value: Any, left: int) -> bool:
    """Whether a document has more than `left` levels."""
    if not isinstance(value, dict | list) or not value:
        return False
    inner = value.values() if isinstance(value, dict) else value
    return left <= 0 or any(_deeper(one, left - 1) for one in inner)


def _clean(value: Any) -> Any:
    match value:
        case str():
            return text(value)
        case list():
            return [_clean(one) for one in value]
        case dict():
            return {text(name): _clean(one) for name, one in value.items()}
        case _:
            return value


_CONVERT: Final[dict[Kind, Callable[[Value], Value]]] = {
    Kind.NUMBER: lambda value: value,
    Kind.TEXT: text,
    Kind.TIME: stamp,
    Kind.JSON: document,
}


def converted(row: Sequence[Value], kinds: Iterable[Kind]) -> tuple[Value, ...]:
    """A row of the mirror with the values that are published."""
    return tuple(_CONVERT[kind](value) for kind, value in zip(kinds, row, strict=True))


# -- digests -------------------------------------------------------------------------------------------


def digest(row: Sequence[Value], kinds: Iterable[Kind]) -> bytes:
    """The digest of a published row. PostgreSQL computes the same from its copy."""
    shown = (
        NULL if value is None else PRESENT + _shown(value, kind)
        for value, kind in zip(row, kinds, strict=True)
    )
    return hashlib.sha256(SEPARATOR.join(shown).encode()).digest()


def digest_of_all(digests: Iterable[bytes]) -> bytes:
    """The digest of many rows, in the order of their keys."""
    return hashlib.sha256(b"".join(digests)).digest()


def _shown(value: str | int, kind: Kind) -> str:
    match kind:
        case Kind.TIME:
            return f"{str(value)[:-1]}000Z"  # PostgreSQL counts microseconds
        case Kind.JSON:
            return _canonical(json.loads(str(value), parse_float=Decimal))
        case _:
            return str(value)


def _canonical(value: Any) -> str:
    """A document as `jsonb` shows it: keys by length and then by bytes, numbers without exponents."""
    match value:
        case dict():
            names = sorted(value, key=lambda name: (len(name.encode()), name.encode()))
            inner = ", ".join(f"{_string(name)}: {_canonical(value[name])}" for name in names)
            return f"{{{inner}}}"
        case list():
            return f"[{', '.join(_canonical(one) for one in value)}]"
        case str():
            return _string(value)
        case Decimal():
            return format(abs(value) if value == 0 else value, "f")
        case _:
            return json.dumps(value)


def _string(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


# -- decisions -----------------------------------------------------------------------------------------


def is_known(token: str | None, known: Iterable[str | None]) -> bool:
    """Whether we left a copy in the state that it names. If not, the copy or the mirror was restored from a backup."""
    return token is not None and token in set(known)


def is_ahead(position: tuple[int, int], newest: tuple[int, int]) -> bool:
    """Whether a copy is ahead of the mirror (its newest mark, or entry of the log), which was restored during a pass."""
    return any(there > here for there, here in zip(position, newest, strict=True))
