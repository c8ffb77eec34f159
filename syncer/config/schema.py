"""The shape of the config file: its tables, keys, types and defaults.

It says what is wrong with one key, in words; files, secrets and whatever takes two keys are left to `load`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from syncer.config import units
from syncer.config.regions import REGIONS

Raw: TypeAlias = Mapping[str, Any]


def _parsed(parse: Callable[[object], object]) -> BeforeValidator:
    def validate(value: object) -> object:
        try:
            return parse(value)
        except ValueError as error:
            # The sentence goes as data: pydantic would read its braces as placeholders.
            raise PydanticCustomError("syncer", "{sentence}", {"sentence": str(error)}) from None

    return BeforeValidator(validate)


def _region(value: object) -> str:
    if not isinstance(value, str) or value.upper() not in REGIONS:
        raise ValueError('is no country; write its ISO code of two letters, such as "IN"')
    return value.upper()


def _overlap(value: object) -> timedelta:
    span = units.parse_duration(value)
    if span < timedelta(hours=6):
        raise ValueError(
            'must be "6h" or more: a voicemail may be stamped 5 h 30 min late, and a shorter look back would lose it'
        )
    return span


Duration: TypeAlias = Annotated[timedelta, _parsed(units.parse_duration)]
Percent: TypeAlias = Annotated[float, _parsed(units.parse_percent)]
BaseUrl: TypeAlias = Annotated[str, _parsed(units.parse_base_url)]
Region: TypeAlias = Annotated[str, _parsed(_region)]
Rate: TypeAlias = Annotated[float, Field(gt=0, le=1000)]
Concurrency: TypeAlias = Annotated[int, Field(ge=1, le=100)]


class Table(BaseModel):
    """What all tables have in common: strict types, no unknown keys, no input in an error."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, allow_inf_nan=False
    )


class DatabaseTable(Table):
    """`[database]`"""

    url: Annotated[str, _parsed(units.parse_database_url)] = "syncer.db"  # the path once read
    group: str | None = None


class HttpTable(Table):
    """`[http]`"""

    listen: Annotated[tuple[str, int], _parsed(units.parse_listen)] | None = None


class MonitorTable(Table):
    """`[monitor]`"""

    ping_url: Annotated[str, _parsed(units.parse_ping_url)] | None = None


class BackupTable(Table):
    """`[backup]`"""

    enabled: bool = False
    every: Duration = timedelta(days=1)
    keep: Annotated[int, Field(ge=1, le=10000)] = 7
    path: str = "backups"


class RetentionTable(Table):
    """`[retention]`"""

    runs: Duration = timedelta(days=90)
    log: Duration = timedelta(days=730)


class VoicemailsTable(Table):
    """`voicemails = {...}` of a TeleCMI account."""

    enabled: bool = True
    every: Duration = timedelta(minutes=5)
    since: Annotated[timedelta | datetime, _parsed(units.parse_since)] = timedelta(days=30)
    window: Duration = timedelta(days=1)
    overlap: Annotated[timedelta, _parsed(_overlap)] = timedelta(hours=24)


class ContactsTable(Table):
    """`contacts = {...}` of a TeleCMI account."""

    enabled: bool = True
    every: Duration = timedelta(minutes=15)


class UserContactsTable(Table):
    """`user_contacts = {...}` of a TeleCMI account."""

    enabled: bool = True
    every: Duration = timedelta(hours=1)


class PushTable(Table):
    """`push = {...}` of a TeleCMI account."""

    enabled: bool = True
    every: Duration = timedelta(seconds=30)
    deletes: bool = False
    on_conflict: Literal["ask", "local", "remote"] = "ask"


class SmartfloContactsTable(Table):
    """`contacts = {...}` of a Smartflo account."""

    enabled: bool = True
    every: Duration = timedelta(minutes=10)
    overlap: Duration = timedelta(minutes=10)
    full_every: Duration = timedelta(days=1)


class AccountTable(Table):
    """What the accounts of both vendors have in common."""

    password: str | None = None
    password_file: str | None = None
    token: str | None = None
    token_file: str | None = None
    timeout: Duration = timedelta(seconds=30)
    region: Region = "IN"
    max_deletions: Percent = 0.1
    ca_file: str | None = None


class TelecmiTable(AccountTable):
    """`[telecmi.NAME]`"""

    base_url: BaseUrl = "https://rest.telecmi.com"
    app_id: Annotated[int, _parsed(units.parse_app_id)] | None = None
    secret: str | None = None
    secret_file: str | None = None
    user_id: str | None = None
    requests_per_second: Rate = 5.0
    concurrency: Concurrency = 4
    voicemails: VoicemailsTable = VoicemailsTable()
    contacts: ContactsTable = ContactsTable()
    user_contacts: UserContactsTable = UserContactsTable()
    push: PushTable = PushTable()


class SmartfloTable(AccountTable):
    """`[smartflo.NAME]`"""

    base_url: BaseUrl = "https://api-smartflo.tatateleservices.com"
    email: str | None = None
    requests_per_second: Rate = 1.0
    concurrency: Concurrency = 2
    updated_after_format: Annotated[str, _parsed(units.parse_stamp_format)] = "%Y-%m-%d %H:%M:%S"
    contacts: SmartfloContactsTable = SmartfloContactsTable()


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

_T = TypeVar("_T", bound=Table)


def read_table(model: type[_T], where: str, raw: object, problems: list[str]) -> tuple[_T, frozenset[str]]:
    """Read one table; what is wrong goes to `problems`, and the key's default stands in for it.

    Returns the table and its bad keys (`voicemails`, `voicemails.every`), so that nobody complains
    about those twice.
    """
    if not isinstance(raw, dict):
        problems.append(f"{where} must be a table; write [{where}] on a line of its own and its keys below.")
        return model(), frozenset(model.model_fields)
    try:
        return model.model_validate(raw), frozenset()
    except ValidationError as failure:
        errors = failure.errors(include_url=False, include_input=False)
    bad = frozenset(".".join(_path(error)) for error in errors)
    problems.extend(sorted({_sentence(model, where, error) for error in errors}))
    return model.model_validate(_without(raw, bad)), bad


def unknown(where: str, key: str, known: Iterable[str]) -> str:
    """The sentence about a key that does not exist, with the nearest one that does."""
    near = difflib.get_close_matches(key.lower(), list(known), n=1, cutoff=0.6)
    name = f"{where}.{key}" if where else key
    return f"{name} is an unknown key; " + (f'did you mean "{near[0]}"?' if near else "remove it.")


def _path(error: ErrorDetails) -> list[str]:
    # Behind the keys, pydantic names the branch of a union that it tried; there are two levels of keys.
    keys = [str(part) for part in error["loc"]]
    return keys[:2] if error["type"] == "extra_forbidden" else keys


def _without(raw: Raw, bad: frozenset[str], where: str = "") -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in raw.items():
        name = where + key
        if name not in bad:
            kept[key] = _without(value, bad, f"{name}.") if isinstance(value, dict) else value
    return kept


def _sentence(model: type[Table], where: str, error: ErrorDetails) -> str:
    *tables, key = _path(error)
    if error["type"] == "extra_forbidden":
        for name in tables:
            inner = model.model_fields[name].annotation
            assert isinstance(inner, type) and issubclass(inner, Table)
            model = inner
        return unknown(".".join([where, *tables]), key, model.model_fields)
    return f"{'.'.join([where, *tables, key])} {_complaint(error)}"


def _complaint(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "syncer":
            return f"{context['sentence']}."
        case "string_type":
            return "must be text; write it in quotes."
        case "bool_type":
            return "must be true or false, without quotes."
        case "int_type" | "int_from_float":
            return "must be a whole number, without quotes."
        case "float_type" | "finite_number":
            return "must be a number, without quotes."
        case "greater_than":
            return f"must be more than {context['gt']:g}."
        case "greater_than_equal":
            return f"must be {context['ge']} or more."
        case "less_than_equal":
            return f"must be {context['le']:g} or less."
        case "literal_error":
            return f"must be one of {context['expected']}.".replace("'", '"')
        case "model_type":
            return "must be a table; write such as { enabled = true }."
        case _:
            return "cannot be used; see the example that `syncer init` writes."
