"""The checked contents of the config file and its secrets. The tables are those of `schema`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import TypeVar

from syncer.config.schema import (
    Account,
    AudioFolder,
    Backup,
    DatabaseConfig,
    Http,
    Monitor,
    Named,
    Retention,
    TelecmiAccount,
)
from syncer.core.secret import Secret
from syncer.errors import UsageError

N = TypeVar("N", bound=Named)


class Credentials(Enum):
    """What a command does with the credentials."""

    UNUSED = "unused"  #: it calls no vendor, so they are not even read
    LOCATED = "located"  #: it shows where they are; none is required
    SHOWN = "shown"  #: it shows errors in them
    SENT = "sent"  #: none may be missing or a placeholder: vendors lock accounts after wrong ones


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where a secret was found."""

    words: str  #: `$SYNCER_TELECMI_MAIN_SECRET`, `the config`, `the file /etc/syncer/secret`
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole config."""

    path: Path | None  #: the absolute path of the file; None without a file (tests, the demo)
    accounts: tuple[Account, ...]  #: vendor by vendor, in the order of the file
    targets: tuple[Named, ...] = ()  #: the other named tables: `[notify.NAME]`, kind by kind
    database: DatabaseConfig = DatabaseConfig()
    http: Http | None = None  #: None: no page is served
    monitor: Monitor = Monitor()
    backup: Backup = Backup()
    audio: AudioFolder = AudioFolder()
    retention: Retention = Retention()
    sources: Mapping[str, SecretSource] = field(default_factory=dict)  #: by key: `telecmi.main.token`, ...

    @property
    def telecmi(self) -> tuple[TelecmiAccount, ...]:
        """The accounts at TeleCMI, whose contacts people edit."""
        return self.of(TelecmiAccount)

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions for numbers that belong to no account: those of all accounts, each once."""
        return tuple(dict.fromkeys(account.region for account in self.accounts))

    def region_of(self, account: str) -> str:
        """The region of a TeleCMI account's phone numbers. The default if the account is not in the config any more."""
        return next((one.region for one in self.telecmi if one.name == account), "IN")

    def of(self, model: type[N]) -> tuple[N, ...]:
        """The accounts at one vendor, or the targets of one kind."""
        return tuple(one for one in (*self.accounts, *self.targets) if isinstance(one, model))

    def account(self, label: str) -> Account:
        """The account with this label (`telecmi.main`). UsageError if there is none."""
        for account in self.accounts:
            if account.label == label:
                return account
        raise self._no_account(label)

    def accounts_named(self, word: str) -> tuple[Account, ...]:
        """The accounts of `--account WORD`: one label, or that name at any vendor. UsageError if there is none."""
        found = tuple(a for a in self.accounts if a.label == word)
        found = found or tuple(a for a in self.accounts if a.name == word)
        if not found:
            raise self._no_account(word)
        return found

    def secrets(self) -> Iterator[Secret]:
        """Every secret in use, to keep them out of logs."""
        for holder in (*self.accounts, *self.targets, self.monitor):
            for one in fields(holder):
                value = getattr(holder, one.name)
                if isinstance(value, Secret):
                    yield value

    def _no_account(self, word: str) -> UsageError:
        labels = ", ".join(account.label for account in self.accounts)
        return UsageError(f"there is no account {word!r}; the config has {labels}")
