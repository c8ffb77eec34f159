"""The config of the measured installation."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from syncer.config import Settings
from syncer.config.load import settings_from

#: A job that is switched off.
OFF = {"enabled": False}


def raw_config(
    port: int, *, telecmi: dict[str, Any] | None, smartflo: dict[str, Any] | None
) -> dict[str, Any]:
    """The config as parsed from TOML. None means no account with that vendor."""
    url = f"http://127.0.0.1:{port}"
    raw: dict[str, Any] = {"database": {"url": "sqlite:///mirror.db"}}
    if telecmi is not None:
        login = {"app_id": 1111113, "secret": "none", "token": "none", "requests_per_second": 1000.0}
        raw["telecmi"] = {"main": {"base_url": url, **login, **telecmi}}
    if smartflo is not None:
        raw["smartflo"] = {
            "main": {"base_url": url, "token": "none", "requests_per_second": 1000.0, **smartflo}
        }
    return raw


def unpaced(raw: dict[str, Any], folder: Path) -> Settings:
    """Settings without a request budget. The config cannot express that."""
    settings = settings_from(raw, folder, {})
    accounts = tuple(dataclasses.replace(a, requests_per_second=math.inf) for a in settings.accounts)
    return dataclasses.replace(settings, accounts=accounts)


def write_config(raw: dict[str, Any], path: Path) -> None:
    """Write the config as a file. Its values look the same in JSON and TOML."""
    lines = []
    for heading, table in raw.items():
        tables = (
            {f"{heading}.{name}": one for name, one in table.items()}
            if _accounts(table)
            else {heading: table}
        )
        for name, one in tables.items():
            lines.append(f"[{name}]")
            lines += [f"{key} = {_toml(value)}" for key, value in one.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.chmod(0o600)


def _accounts(table: dict[str, Any]) -> bool:
    return all(isinstance(one, dict) for one in table.values())


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(value)
