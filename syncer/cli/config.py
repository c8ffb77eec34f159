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
from syncer.core.secret import Secret

if TYPE_CHECKING:
    from syncer.config import Http, Settings
    from syncer.config.schema import Named


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
    from syncer.config.targets import NotifyTarget
    from syncer.sync.notify import check_addresses

    settings = app.settings(credentials="sent")
    check_addresses(settings.of(NotifyTarget))
    show(check_config(settings))


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
    monitor = settings.monitor
    tables: dict[str, dict[str, Any]] = {
        "database": {"url": settings.database.url, "group": settings.database.group}
    }
    for account in settings.accounts:
        tables[account.label] = _named(settings, account) | {
            "max_deletions": f"{account.max_deletions * 100:g}%"
        }
    for target in settings.targets:
        tables[target.label] = _named(settings, target)
    tables["http"] = _http(settings.http)
    tables["monitor"] = {"ping_url": {"from": "the config"} if monitor.ping_url else None}
    tables["backup"] = _written(settings.backup)
    tables["audio"] = _written(settings.audio)
    tables["retention"] = _written(settings.retention)
    return tables


def _named(settings: Settings, one: Named) -> dict[str, Any]:
    """The settings of an account or a target."""
    from syncer.config.keys import keys_of

    table: dict[str, Any] = {}
    for key, known in keys_of(type(one)).items():
        if known.secret and key.endswith("_file"):
            continue
        if known.secret:
            source = settings.sources.get(f"{one.label}.{key}")
            table[key] = {"from": source.words} if source else None
        elif isinstance(value := getattr(one, key), Secret):
            table[key] = {"from": "the config"}
        else:
            table[key] = _written(value)
    return table


def _http(http: Http | None) -> dict[str, Any]:
    if http is None:
        return {"listen": None}
    host, port = http.address
    return {
        "listen": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        "hosts": None if http.hosts is None else sorted(http.hosts),
        "console": http.console,
        "url": http.url,
    }


def _written(value: Any) -> Any:
    """A setting as the config writes it."""
    from syncer.config.units import Size, format_duration, format_size

    if is_dataclass(value):
        return {one.name: _written(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, Size):
        return format_size(value)
    if isinstance(value, datetime):
        return value.date().isoformat()
    return str(value) if isinstance(value, Path) else value


def toml(name: str, table: Mapping[str, Any]) -> Iterator[str]:
    """A table as the config file writes it. Secrets and keys that are not set are comments."""
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
