"""A value that must not be shown: a password, a token, an application's secret.

`config` reads it. Code that sends it calls `reveal()` at the last moment.
"""

from __future__ import annotations

from typing import Final, NoReturn

#: Shown in place of a secret.
MASK: Final = "***"


class Secret:
    """Text that prints as `***`. Two secrets of the same text are equal."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself. Keep it out of messages, logs and anything stored."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written down")
