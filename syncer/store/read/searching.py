"""How people search lists: every word somewhere in a row, and numbers however they are spelled."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from syncer.store.db.read_only import Reader, sql_function

#: What may stand in a phone number as it is written or searched for.
_PHONE_SIGNS = re.compile(r"[+\d\s().\-]+")


@contextmanager
def searching(conn: Reader, search: str | None, searched: Sequence[str]) -> Iterator[str]:
    """The condition that a row is one that `search` finds; '' without one.

    SQLite asks us about each row (`_matcher`) before it sorts, so that what is not found is never built.
    """
    if not search:
        yield ""
        return
    with sql_function(conn, "found_by_search", len(searched), _matcher(search)):
        # As bytes, which may be no text: SQLite holds what it is given.
        yield f" AND found_by_search({', '.join(f'CAST({name} AS BLOB)' for name in searched)})"


def _matcher(search: str) -> Callable[..., bool]:
    """Whether every word of `search` is in one of a row's values; a number is found however it is spelled.

    In Python, since SQLite's own comparison knows no letters beyond ASCII.
    """
    words = search.casefold().split()
    digits = re.sub(r"\D", "", search) if _PHONE_SIGNS.fullmatch(search) else ""
    # Of zeros alone nothing is left, which is in every value.
    number = re.compile(r"\D*".join(digits.lstrip("0"))) if len(digits) >= 3 else None

    def match(*values: bytes | None) -> bool:
        found = [value for value in values if value]
        # No word has a blank in it: none is found across two values.
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
