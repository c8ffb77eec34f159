"""Reads CSV. The delimiter is the one of comma, semicolon and tab with which most columns of the header are known."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

from syncer.errors import UsageError

_DELIMITERS = ",;\t"

#: How many characters of the first line are used to find the delimiter.
_LONGEST_HEADER = 1 << 16

#: How many columns of a header are understood.
Score = Callable[[Sequence[str]], int]


def read_cells(file: TextIO, name: str, score: Score) -> Iterator[tuple[int, list[str]]]:
    """Each row with its number; the header is row 1, and blank lines count. UsageError, with the line, if it is not CSV."""
    first = file.readline(_LONGEST_HEADER)
    declared = first.strip().lower()
    row = 0
    if declared.startswith("sep=") and len(declared) == 5:  # Excel declares it like this
        row, delimiter = 1, declared[4]
        if delimiter not in _DELIMITERS:
            raise UsageError(
                f"{name}: line 1 declares a delimiter that is none of , ; and tab; nothing was changed"
            )
    else:
        while first and not first.strip():  # leading blank lines
            first = file.readline(_LONGEST_HEADER)
        delimiter = _delimiter(first, score)
        file.seek(0)
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            row += 1
            yield row, cells
    except csv.Error as error:
        line = reader.line_num + row if declared.startswith("sep=") else reader.line_num
        raise UsageError(f"{name}: line {line} is not CSV ({_words(error)}); nothing was changed") from None


def _delimiter(line: str, score: Score) -> str:
    def rank(delimiter: str) -> tuple[int, int]:
        try:
            cells = next(csv.reader([line], delimiter=delimiter), [])
        except csv.Error:
            return 0, 0
        return score(cells), len(cells)

    return max(_DELIMITERS, key=rank)


def _words(error: csv.Error) -> str:
    text = str(error)
    if "unexpected end" in text:
        return "a quoted cell is not closed"
    if "expected after" in text:
        return "there is text after a closing quote"
    if "field larger" in text:
        return "a cell is longer than 131,072 characters, or a quote is not closed"
    return text
