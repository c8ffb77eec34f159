"""Searches lists: a row matches if it contains every word. Phone numbers match in any spelling."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from syncer.store.db.read_only import Reader, sql_function

#: The characters of phone numbers.
_PHONE_SIGNS = re.compile(r"[+\d\s().\-]+")


@contextmanager
def searching(conn: Reader, search: str | None, searched: Sequence[str]) -> Iterator[str]:
    """The SQL condition that a row matches `search`, to append to a WHERE. Empty without a search.

    SQLite calls the matcher for each row before it sorts, so other rows are never built.
    """
    if not search:
        yield ""
        return
    with sql_function(conn, "found_by_search", len(searched), _matcher(search)):
        # As bytes, because the stored value may be invalid text.
        yield f" AND found_by_search({', '.join(f'CAST({name} AS BLOB)' for name in searched)})"


def digits_of(search: str) -> str | None:
    """The digits of a search for a phone number, without leading zeros, or None if it is not one."""
    digits = re.sub(r"\D", "", search).lstrip("0") if _PHONE_SIGNS.fullmatch(search) else ""
    return digits if len(digits) >= 3 else None


def _matcher(search: str) -> Callable[..., bool]:
    """A function that checks the values of a row. It is in Python because SQLite ignores case only for ASCII."""
    words = search.casefold().split()
    digits = digits_of(search)
    number = re.compile(r"\D*".join(digits)) if digits else None

    def match(*values: bytes | None) -> bool:
        found = [value for value in values if value]
        # Words contain no blanks, so none matches across two values.
        text = b"\n".join(found).decode("utf-8", "replace").casefold()
        for word in words:
            if word not in text:
                break
        else:
            return True
        if number is None or not number.search(text):
            return False
        return any(number.search(value.decode("utf-8", "replace")) for value in found)

    return match
