"""`syncer config`: checks the config, and shows every setting in effect. Calls no vendor."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncer.cli.app import App, pass_app
from syncer.cli.options import example, json_option
from syncer.cli.output import emit_json, say

if TYPE_CHECKING:
    from syncer.config import Http, Settings


@click.group()
def config() -> None:
    """Check or show the config. Calls no vendor."""


@config.command(epilog=example("syncer config check"))
@pass_app
def check(app: App) -> None:
    """Read the config and its secrets as `sync` would; exit 78 with every problem if there is one.

    `syncer doctor` checks whether the vendors accept the credentials.
    """
    from syncer.cli.doctor import check_config
    from syncer.cli.findings import show

    show(check_config(app.settings(credentials="sent")))


@config.command("show", epilog=example("syncer config show", "syncer config show --json"))
@json_option
@pass_app
def show_settings(app: App, as_json: bool) -> None:
    """Show every setting in effect as TOML, and where each secret comes from, but no secret."""
    settings = app.settings(credentials="located")
    tables = effective(settings)
    if as_json:
        emit_json(tables)
        return
    say(f"# {settings.path}")
    for name, table in tables.items():
        for line in toml(name, table):
            say(line)


def effective(settings: Settings) -> dict[str, dict[str, Any]]:
    """Every table of the config file with the values in effect. A secret is `{"from": ...}`; None is not set."""
    from syncer.config.keys import keys_of

    monitor = settings.monitor
    tables: dict[str, dict[str, Any]] = {
        "database": {"url": settings.database.url, "group": settings.database.group}
    }
    for account in settings.accounts:
        table = {key: value for key, value in _written(account).items() if key != "name"}
        for key in [key for key, known in keys_of(type(account)).items() if known.secret and key in table]:
            source = settings.sources.get(f"{account.label}.{key}")
            table[key] = {"from": source.words} if source else None
        table["max_deletions"] = f"{account.max_deletions * 100:g}%"
        tables[account.label] = table
    tables["http"] = {"listen": _listen(settings.http)}
    tables["monitor"] = {"ping_url": {"from": "the config"} if monitor.ping_url else None}
    tables["backup"] = _written(settings.backup)
    tables["retention"] = _written(settings.retention)
    return tables


def _listen(http: Http | None) -> str | None:
    if http is None:
        return None
    host, port = http.address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _written(value: Any) -> Any:
    """A setting as the config writes it."""
    from syncer.config.units import format_duration

    if is_dataclass(value):
        return {one.name: _written(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, datetime):
        return value.date().isoformat()
    return str(value) if isinstance(value, Path) else value


def toml(name: str, table: Mapping[str, Any]) -> Iterator[str]:
    """A table in the notation of the config file; what is not set, or secret, is a comment."""
    kind, _, account = name.partition(".")
    yield ""
    yield f"[{kind}.{json.dumps(account)}]" if "." in account else f"[{name}]"
    for key, value in table.items():
        if value is None:
            yield f"# {key} is not set"
        elif isinstance(value, dict) and "from" in value:
            yield f"# {key} is set, from {value['from']}"
        elif isinstance(value, dict):
            yield f"{key} = {{ {', '.join(f'{inner} = {_toml(one)}' for inner, one in value.items())} }}"
        else:
            yield f"{key} = {_toml(value)}"


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
