"""The config file and its secrets, as frozen settings with all errors reported together.

What the settings mean for a job is left to `sync`; whether an upstream takes the credentials, to `doctor`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

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

#: Where a service's config lies.
SYSTEM_CONFIG: Final = Path("/etc/syncer/config.toml")

_PACKAGE: Final = Path(__file__).resolve().parent.parent


def find_config(
    explicit: str | Path | None, environ: Mapping[str, str], cwd: Path, *, system: Path = SYSTEM_CONFIG
) -> Path:
    """The config file: `explicit`, else `$SYNCER_CONFIG`, else `syncer.toml` in `cwd`, else the system's.

    A name is kept even where there is no such file, so that a typing error never picks another config.
    ConfigError when nothing is named and nothing is found.
    """
    named = explicit or environ.get("SYNCER_CONFIG")
    if named:
        try:
            return cwd / files.expand(named)
        except OSError as error:
            raise ConfigError([f"The config file {named} cannot be found: {error.strerror}."]) from None
    looked = (cwd / "syncer.toml", system)
    for path in looked:
        # Also a dangling link, or a folder: reading it says what is wrong with it. In a folder that this user
        # may not enter (`sudo -u syncer` in root's home) nothing is theirs.
        if os.path.lexists(path):
            return path
    raise ConfigError(
        [
            f"No config file was found (looked for --config, $SYNCER_CONFIG, {looked[0]} and {looked[1]}); "
            "`syncer init` writes one to start from."
        ]
    )


def load_settings(
    path: Path, environ: Mapping[str, str], credentials: Credentials = Credentials.SENT
) -> Settings:
    """Read one config file and its secrets; ConfigError with all problems at once.

    Root takes no file that others may change, and works in no folder of others.
    """
    # Late: half of the commands never come here.
    from syncer.config.load import read_settings

    return read_settings(path, environ, credentials)


def settings_from(
    raw: Mapping[str, Any],
    folder: Path,
    environ: Mapping[str, str],
    credentials: Credentials = Credentials.SENT,
) -> Settings:
    """The same from tables that were never a file (the demo, tests); relative paths count from `folder`."""
    from syncer.config.load import build_settings

    return build_settings(raw, folder, environ, credentials=credentials)


def example_text() -> str:
    """The commented example that `syncer init` writes: from the wheel, else from the repository."""
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
    "load_settings",
    "placeholders",
    "settings_from",
]
