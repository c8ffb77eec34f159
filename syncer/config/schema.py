"""The shape of the config file: its tables, keys, types and defaults.

It says what is wrong with one key, in words; files, secrets and whatever takes two keys are left to `load`.
Plain classes, since every command begins here and a library for this takes longer than all else together.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple, TypeVar, cast

from syncer.config import units
from syncer.config.regions import REGIONS
from syncer.core.model import OnConflict

_V = TypeVar("_V")
_D = TypeVar("_D")
_T = TypeVar("_T", bound="Table")


class Key(NamedTuple):
    """One key of a table: what checks its value, and what stands in where it is left out."""

    check: Callable[[object], object]  #: the value as it is meant; ValueError with the rest of a sentence
    default: Any

    @property
    def table(self) -> type[Table] | None:
        """The shape of the table that this key holds; None when it holds a value."""
        return type(self.default) if isinstance(self.default, Table) else None


class Table:
    """What all tables have in common: each key is checked by itself, and there are no others."""

    keys: ClassVar[Mapping[str, Key]] = {}

    def __init_subclass__(cls) -> None:
        own = {name: key for name, key in vars(cls).items() if isinstance(key, Key)}
        cls.keys = {**cls.keys, **own}
        for name, key in own.items():
            setattr(cls, name, key.default)

    def __init__(self, **values: object) -> None:
        vars(self).update(values)


def _key(check: Callable[[object], _V], default: _D) -> _V | _D:
    """A key, which an instance of the table shows as its value."""
    return cast("_V | _D", Key(check, default))


def _table(default: _T) -> _T:
    """A key that holds a table."""
    return cast("_T", Key(_no_table, default))


# -- what a value may be -------------------------------------------------------------------------------


def _no_table(_: object) -> Table:
    raise ValueError("must be a table; write for example { enabled = true }")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text; write it in quotes")
    return value


def _yes_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false, without quotes")
    return value


def _count(most: int) -> Callable[[object], int]:
    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError("must be a whole number, without quotes")
        if value < 1:
            raise ValueError("must be 1 or more")
        if value > most:
            raise ValueError(f"must be {most} or less")
        return value

    return check


def _rate(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -math.inf < value < math.inf:
        raise ValueError("must be a number, without quotes")
    if value <= 0:
        raise ValueError("must be more than 0")
    if value > 1000:
        raise ValueError("must be 1000 or less")
    return float(value)


def _on_conflict(value: object) -> OnConflict:
    if value not in ("ask", "local", "remote"):
        raise ValueError('must be one of "ask", "local" or "remote"')
    return value


def _region(value: object) -> str:
    if not isinstance(value, str) or value.upper() not in REGIONS:
        raise ValueError('is not a country; write its ISO code of two letters, such as "IN"')
    return value.upper()


def _overlap(value: object) -> timedelta:
    span = units.parse_duration(value)
    if span < timedelta(hours=6):
        raise ValueError(
            'must be "6h" or more: a voicemail may be stamped 5 h 30 min late, and a shorter look back would lose it'
        )
    return span


# -- the tables ----------------------------------------------------------------------------------------


class DatabaseTable(Table):
    """`[database]`"""

    url: str = _key(units.parse_database_url, "syncer.db")  # the path once read
    group: str | None = _key(_text, None)


class HttpTable(Table):
    """`[http]`"""

    listen: tuple[str, int] | None = _key(units.parse_listen, None)
    hosts: frozenset[str] | None = _key(units.parse_hosts, None)


class MonitorTable(Table):
    """`[monitor]`"""

    ping_url: str | None = _key(units.parse_ping_url, None)


class BackupTable(Table):
    """`[backup]`"""

    enabled: bool = _key(_yes_no, False)
    every: timedelta = _key(units.parse_duration, timedelta(days=1))
    keep: int = _key(_count(10000), 7)
    path: str = _key(_text, "backups")


class RetentionTable(Table):
    """`[retention]`"""

    runs: timedelta = _key(units.parse_duration, timedelta(days=90))
    log: timedelta = _key(units.parse_duration, timedelta(days=730))


class VoicemailsTable(Table):
    """`voicemails = {...}` of a TeleCMI account."""

    enabled: bool = _key(_yes_no, True)
    every: timedelta = _key(units.parse_duration, timedelta(minutes=5))
    since: timedelta | datetime = _key(units.parse_since, timedelta(days=30))
    window: timedelta = _key(units.parse_duration, timedelta(days=1))
    overlap: timedelta = _key(_overlap, timedelta(hours=24))


class ContactsTable(Table):
    """`contacts = {...}` of a TeleCMI account."""

    enabled: bool = _key(_yes_no, True)
    every: timedelta = _key(units.parse_duration, timedelta(minutes=15))


class UserContactsTable(Table):
    """`user_contacts = {...}` of a TeleCMI account."""

    enabled: bool = _key(_yes_no, True)
    every: timedelta = _key(units.parse_duration, timedelta(hours=1))


class PushTable(Table):
    """`push = {...}` of a TeleCMI account."""

    enabled: bool = _key(_yes_no, True)
    every: timedelta = _key(units.parse_duration, timedelta(seconds=30))
    deletes: bool = _key(_yes_no, False)
    on_conflict: OnConflict = _key(_on_conflict, "ask")


class SmartfloContactsTable(Table):
    """`contacts = {...}` of a Smartflo account."""

    enabled: bool = _key(_yes_no, True)
    every: timedelta = _key(units.parse_duration, timedelta(minutes=10))
    overlap: timedelta = _key(units.parse_duration, timedelta(minutes=10))
    full_every: timedelta = _key(units.parse_duration, timedelta(days=1))


class AccountTable(Table):
    """What the accounts of both vendors have in common."""

    password: str | None = _key(_text, None)
    password_file: str | None = _key(_text, None)
    token: str | None = _key(_text, None)
    token_file: str | None = _key(_text, None)
    timeout: timedelta = _key(units.parse_duration, timedelta(seconds=30))
    region: str = _key(_region, "IN")
    max_deletions: float = _key(units.parse_percent, 0.1)
    ca_file: str | None = _key(_text, None)


class TelecmiTable(AccountTable):
    """`[telecmi.NAME]`"""

    base_url: str = _key(units.parse_base_url, "https://rest.telecmi.com")
    app_id: int | None = _key(units.parse_app_id, None)
    secret: str | None = _key(_text, None)
    secret_file: str | None = _key(_text, None)
    user_id: str | None = _key(_text, None)
    requests_per_second: float = _key(_rate, 5.0)
    concurrency: int = _key(_count(100), 4)
    voicemails: VoicemailsTable = _table(VoicemailsTable())
    contacts: ContactsTable = _table(ContactsTable())
    user_contacts: UserContactsTable = _table(UserContactsTable())
    push: PushTable = _table(PushTable())


class SmartfloTable(AccountTable):
    """`[smartflo.NAME]`"""

    base_url: str = _key(units.parse_base_url, "https://api-smartflo.tatateleservices.com")
    email: str | None = _key(_text, None)
    requests_per_second: float = _key(_rate, 1.0)
    concurrency: int = _key(_count(100), 2)
    updated_after_format: str = _key(units.parse_stamp_format, "%Y-%m-%d %H:%M:%S")
    contacts: SmartfloContactsTable = _table(SmartfloContactsTable())


#: The tables of the file that are there once.
SECTIONS: Mapping[str, type[Table]] = {
    "database": DatabaseTable,
    "http": HttpTable,
    "monitor": MonitorTable,
    "backup": BackupTable,
    "retention": RetentionTable,
}

#: The tables that are there once an account, by vendor.
VENDORS: Mapping[str, type[AccountTable]] = {"telecmi": TelecmiTable, "smartflo": SmartfloTable}


def read_table(model: type[_T], where: str, raw: object, problems: list[str]) -> tuple[_T, frozenset[str]]:
    """Read one table; what is wrong goes to `problems`, and the key's default stands in for it.

    Returns the table and its bad keys (`voicemails`, `voicemails.every`), so that nobody complains
    about those twice.
    """
    if not isinstance(raw, dict):
        problems.append(f"{where} must be a table; write [{where}] on a line of its own and its keys below.")
        return model(), frozenset(model.keys)
    wrong: dict[str, str] = {}
    table = _read(model, where, raw, "", wrong)
    problems.extend(sorted(set(wrong.values())))
    return table, frozenset(wrong)


def _read(model: type[_T], where: str, raw: Mapping[str, object], inside: str, wrong: dict[str, str]) -> _T:
    """The table, and into `wrong` a sentence for each key that is not right."""
    values: dict[str, object] = {}
    for name, value in raw.items():
        key = model.keys.get(name)
        if key is None:
            wrong[inside + name] = unknown(where, name, model.keys)
            continue
        if key.table is not None and isinstance(value, dict):
            values[name] = _read(key.table, f"{where}.{name}", value, f"{inside}{name}.", wrong)
            continue
        try:
            values[name] = key.check(value)
        except ValueError as error:
            wrong[inside + name] = f"{where}.{name} {error}."
    return model(**values)


def unknown(where: str, key: str, known: Iterable[str]) -> str:
    """The sentence about a key that does not exist, with the nearest one that does."""
    near = difflib.get_close_matches(key.lower(), list(known), n=1, cutoff=0.6)
    name = f"{where}.{key}" if where else key
    return f"{name} is an unknown key; " + (f'did you mean "{near[0]}"?' if near else "remove it.")
