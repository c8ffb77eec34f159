"""The config file and its secrets, as frozen settings with all errors reported together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from syncer import files
from syncer.config.schema import (
    VENDORS,
    Account,
    Audio,
    Backup,
    DatabaseConfig,
    Http,
    Job,
    Monitor,
    PushConfig,
    Retention,
    SmartfloAccount,
    SmartfloContacts,
    TelecmiAccount,
    Voicemails,
    Windowed,
    placeholders,
)
from syncer.config.settings import Credentials, Settings
from syncer.errors import ConfigError

#: The config of the service.
SYSTEM_CONFIG: Final = Path("/etc/syncer/config.toml")

_PACKAGE: Final = Path(__file__).resolve().parent.parent


def find_config(
    explicit: str | Path | None, environ: Mapping[str, str], cwd: Path, *, system: Path = SYSTEM_CONFIG
) -> Path:
    """The config file: `explicit`, else `$SYNCER_CONFIG`, else `syncer.toml` in `cwd`, else the system's.

    A named file is returned even if it does not exist, so a typing error never selects another config.
    ConfigError if nothing is named and nothing is found.
    """
    named = explicit or environ.get("SYNCER_CONFIG")
    if named:
        try:
            return cwd / files.expand(named)
        except OSError as error:
            raise ConfigError([f"The config file {named} cannot be found: {error.strerror}."]) from None
    looked = (cwd / "syncer.toml", system)
    for path in looked:
        # Also for a dangling link or a folder: reading it reports what is wrong. In a folder that this user may not
        # enter (`sudo -u syncer` in root's home), there is no config for them.
        if os.path.lexists(path):
            return path
    raise ConfigError(
        [
            f"No config file was found (looked for --config, $SYNCER_CONFIG, {looked[0]} and {looked[1]}); "
            "`syncer init` writes one to start from."
        ]
    )


def example_text() -> str:
    """The commented example that `syncer init` writes, from the wheel or the repository."""
    shipped = _PACKAGE / "_config.example.toml"
    path = shipped if shipped.exists() else _PACKAGE.parent / "config.example.toml"
    return path.read_text(encoding="utf-8")


__all__ = [
    "SYSTEM_CONFIG",
    "VENDORS",
    "Account",
    "Audio",
    "Backup",
    "Credentials",
    "DatabaseConfig",
    "Http",
    "Job",
    "Monitor",
    "PushConfig",
    "Retention",
    "Settings",
    "SmartfloAccount",
    "SmartfloContacts",
    "TelecmiAccount",
    "Voicemails",
    "Windowed",
    "example_text",
    "find_config",
    "placeholders",
]
