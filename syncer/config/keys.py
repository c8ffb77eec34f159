"""Declaring and reading tables of the config file: frozen dataclasses whose fields check values.

A check takes the file's value and returns the setting, or raises ValueError with the rest of a sentence that starts
with the key. `schema` declares the tables; `load` handles files, secrets and checks of several keys.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple, TypeVar, cast

from syncer.core.secret import Secret

V = TypeVar("V")
D = TypeVar("D")
T = TypeVar("T", bound="Table")


@dataclass(frozen=True)
class Table:
    """A table of the config file. Its keys are the fields that are declared with `key`, `table` or `secret`."""


class Key(NamedTuple):
    """One key."""

    check: Callable[[object], object]
    table: Table | None = None  #: the defaults, if the key is a table; None if it is a value
    secret: bool = False  #: a secret, or the path of a file with one
    hint: str = ""  #: what to write if a job needs the key and it is missing


def key(check: Callable[[object], V], default: D, hint: str = "") -> V | D:
    """A key with a value."""
    return cast("V | D", field(default=default, metadata={"key": Key(check, hint=hint)}))


def table(default: T) -> T:
    """A key with a table. Missing keys are as in `default`."""
    return field(default=default, metadata={"key": Key(_no_table, default)})


def secret() -> Secret | None:
    """A secret: the keys NAME and NAME_file, an environment variable, or a credential of the service manager."""
    return cast("Secret | None", field(default=None, metadata={"key": Key(text, secret=True)}))


def keys_of(model: type[Table]) -> Mapping[str, Key]:
    """All keys of a table."""
    out: dict[str, Key] = {}
    for one in fields(model):
        if (found := one.metadata.get("key")) is not None:
            out[one.name] = found
            if found.secret:
                out[f"{one.name}_file"] = found
    return out


def read_table(
    model: type[Table], where: str, raw: object, problems: list[str]
) -> tuple[dict[str, Any], frozenset[str]]:
    """Read one table: the values of its keys for the dataclass, with secrets as text.

    Errors go to `problems`. The second result names the bad keys (`voicemails`, `voicemails.every`), whose defaults
    apply, so that no error is reported twice.
    """
    if not isinstance(raw, dict):
        problems.append(f"{where} must be a table; write [{where}] on a line of its own and its keys below.")
        return {}, frozenset(keys_of(model))
    wrong: dict[str, str] = {}
    values = _read(model, where, raw, "", wrong)
    problems.extend(sorted(set(wrong.values())))
    return values, frozenset(wrong)


def _read(
    model: type[Table], where: str, raw: Mapping[str, object], inside: str, wrong: dict[str, str]
) -> dict[str, Any]:
    known = keys_of(model)
    values: dict[str, Any] = {}
    for name, value in raw.items():
        found = known.get(name)
        if found is None:
            wrong[inside + name] = unknown(where, name, known)
        elif found.table is not None and isinstance(value, dict):
            inner = _read(type(found.table), f"{where}.{name}", value, f"{inside}{name}.", wrong)
            values[name] = replace(found.table, **inner)
        else:
            try:
                values[name] = found.check(value)
            except ValueError as error:
                wrong[inside + name] = f"{where}.{name} {error}."
    return values


def unknown(where: str, name: str, known: Iterable[str]) -> str:
    """The sentence for an unknown key, with the most similar known one."""
    near = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    full = f"{where}.{name}" if where else name
    return f"{full} is an unknown key; " + (f'did you mean "{near[0]}"?' if near else "remove it.")


# -- checks --------------------------------------------------------------------------------------------


def _no_table(_: object) -> Table:
    raise ValueError("must be a table; write for example { enabled = true }")


def text(value: object) -> str:
    """Any text."""
    if not isinstance(value, str):
        raise ValueError("must be text; write it in quotes")
    return value


def yes_no(value: object) -> bool:
    """`true` or `false`."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false, without quotes")
    return value


def count(most: int) -> Callable[[object], int]:
    """A whole number from 1 to `most`."""

    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError("must be a whole number, without quotes")
        if value < 1:
            raise ValueError("must be 1 or more")
        if value > most:
            raise ValueError(f"must be {most} or less")
        return value

    return check


def rate(value: object) -> float:
    """Requests a second."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -math.inf < value < math.inf:
        raise ValueError("must be a number, without quotes")
    if value <= 0:
        raise ValueError("must be more than 0")
    if value > 1000:
        raise ValueError("must be 1000 or less")
    return float(value)
