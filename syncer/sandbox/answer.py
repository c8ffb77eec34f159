"""Answers to calls before they become HTTP, and the division of lists into pages.

The modules of the vendors say what an answer contains, and `app` sends it.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from syncer.sandbox.sound import Sound

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, a body (JSON-able data, bytes as they are, or a recording) and headers."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    media: str = "application/json"

    def rendered(self) -> bytes:
        """The body as bytes."""
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """The body piece by piece; a recording may be larger than memory."""
        match self.body:
            case Sound():
                yield from self.body.pieces()
            case bytes():
                yield self.body
            case _:
                yield json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode()

    def length(self) -> int:
        """The size of the body in bytes."""
        return self.body.size if isinstance(self.body, Sound) else len(self.rendered())

    def first(self, size: int) -> Iterator[bytes]:
        """The first `size` bytes of the body, piece by piece."""
        for piece in self.pieces():
            yield piece[:size]
            size -= len(piece)
            if size <= 0:
                return


class Refused(Exception):
    """A call that is answered with an error code of the vendor."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.text = text
        super().__init__(f"{code}: {text}")


def numbered(
    rows: Sequence[T],
    page: int,
    size: int,
    *,
    short_page: float | None,
    repeat_page: float | None,
    past_end: str,
) -> Sequence[T] | None:
    """The rows of a numbered page (from 1); None if a page past the end is an error."""
    wanted = page - 1 if repeat_page and page > repeat_page else page
    start, end = _cut(wanted, size, short_page)
    if start < len(rows) or wanted == 1:
        return rows[start:end]
    match past_end:
        case "repeat_last" if rows:
            last = math.ceil(len(rows) / size)
            if short_page and short_page <= last:
                last = math.ceil((len(rows) + 1) / size)
            start, end = _cut(last, size, short_page)
            return rows[start:end]
        case "error400":
            return None
        case _:
            return []


def _cut(page: int, size: int, short_page: float | None) -> tuple[int, int]:
    if not short_page or page < short_page or size == 1:
        return (page - 1) * size, page * size
    return (page - 1) * size - (page > short_page), page * size - 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """The content of a `page_state`: where a listing continues."""

    began: int  #: epoch ms of the listing's first page
    page: int  #: the number of the next page
    offset: int  #: how many rows came before it
    after: int | None = None  #: `seq` of the last row, if cursors remember rows
    again: bool = False  #: the previous page is sent again
    tail: bool = False  #: the next page is empty

    def text(self) -> str:
        """The cursor as opaque text."""
        packed = json.dumps(list(asdict(self).values()), separators=(",", ":"))
        return base64.urlsafe_b64encode(packed.encode()).decode()

    @classmethod
    def read(cls, text: object) -> Cursor:
        """Read a cursor that `text` wrote. Raises `Refused` for any other text."""
        try:
            values = json.loads(base64.urlsafe_b64decode(str(text).encode()))
            return cls(*values)
        except (ValueError, TypeError) as problem:
            raise Refused(400, "page_state is not valid") from problem
