"""The settings that the rest of the program works with: frozen, complete, already checked.

How they are read and checked is left to `load` and `schema`; nothing here touches a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Final, Literal, TypeAlias

from syncer.core.model import OnConflict
from syncer.core.secret import Secret
from syncer.errors import UsageError


class Credentials(Enum):
    """What a command does with the credentials."""

    UNUSED = "unused"  #: it calls no vendor: they are not even read
    LOCATED = "located"  #: it says where they are; none has to be there
    SHOWN = "shown"  #: it says what is wrong with them
    SENT = "sent"  #: none may be missing, or a placeholder: vendors lock out who tries wrong ones


@dataclass(frozen=True, slots=True)
class Source:
    """Where a secret was found."""

    words: str  #: `$SYNCER_TELECMI_MAIN_SECRET`, `the config`, `the file /etc/syncer/secret`
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A job with nothing but a rhythm (`contacts`, `user_contacts` of TeleCMI)."""

    enabled: bool
    every: timedelta


@dataclass(frozen=True, slots=True)
class VoicemailJob(Job):
    """`telecmi-voicemails`."""

    since: timedelta | datetime  #: how far back the mirror begins: a distance from now, or a UTC midnight
    window: timedelta  #: the span of one request
    overlap: timedelta  #: how far back each run looks again; never under 6 h


@dataclass(frozen=True, slots=True)
class PushJob(Job):
    """`telecmi-push`."""

    deletes: bool  #: whether a local DELETE goes upstream without a person's approval
    on_conflict: OnConflict


@dataclass(frozen=True, slots=True)
class SmartfloJob(Job):
    """`smartflo-contacts`."""

    overlap: timedelta  #: how far behind the cursor each run begins
    full_every: timedelta  #: the distance of full listings, the only ones that find deletions


@dataclass(frozen=True, slots=True)
class TelecmiAccount:
    """One account at TeleCMI."""

    name: str
    label: str  #: `telecmi.main`: the name that is unique over both vendors
    base_url: str  #: without a trailing slash
    app_id: int | None
    secret: Secret | None
    user_id: str | None
    password: Secret | None
    token: Secret | None  #: used first; the login when it has expired
    requests_per_second: float
    concurrency: int
    timeout: timedelta  #: of a whole call
    region: str  #: ISO code: how phone numbers without a country code are read
    max_deletions: float  #: a share: 0.1 is 10 %
    ca_file: Path | None  #: certificates to trust as well as the usual ones
    voicemails: VoicemailJob
    contacts: Job
    user_contacts: Job
    push: PushJob
    kind: Literal["telecmi"] = "telecmi"


@dataclass(frozen=True, slots=True)
class SmartfloAccount:
    """One account at Smartflo."""

    name: str
    label: str  #: `smartflo.main`
    base_url: str  #: without a trailing slash
    token: Secret | None  #: without the word `Bearer`
    email: str | None
    password: Secret | None
    requests_per_second: float
    concurrency: int
    timeout: timedelta  #: of a whole call
    region: str  #: ISO code: how phone numbers without a country code are read
    max_deletions: float  #: a share: 0.1 is 10 %
    ca_file: Path | None  #: certificates to trust as well as the usual ones
    updated_after_format: str  #: strftime pattern of the `updated_after` filter, in UTC
    contacts: SmartfloJob
    kind: Literal["smartflo"] = "smartflo"


Account: TypeAlias = TelecmiAccount | SmartfloAccount


def placeholders(account: Account) -> list[str]:
    """The keys of what the account's jobs would send, and that still is the `"..."` of the example."""
    login = ("email", "password", "token") if account.kind == "smartflo" else ("user_id", "password", "token")
    sent: tuple[str, ...] = login if account.contacts.enabled else ()
    if isinstance(account, TelecmiAccount):
        if account.user_contacts.enabled or account.push.enabled:
            sent = login
        if account.voicemails.enabled:
            sent = ("secret", *sent)
    return [key for key in sent if _is_placeholder(getattr(account, key))]


def _is_placeholder(value: Secret | str | None) -> bool:
    text = value.reveal() if isinstance(value, Secret) else value
    return bool(text) and not str(text).strip().strip(".\N{HORIZONTAL ELLIPSIS}")


@dataclass(frozen=True, slots=True)
class Database:
    """Where the mirror lives."""

    url: str  #: `sqlite:////absolute/path`
    path: Path  #: the same as a path
    group: str | None = None  #: a group that may read and write the file; None: the owner alone


#: How this machine's loopback may be called in a `Host` header.
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class Http:
    """Where the daemon answers `/healthz` and `/metrics`."""

    host: str
    port: int
    hosts: frozenset[str] = LOOPBACK  #: what the `Host` header of a request may say, a port aside


@dataclass(frozen=True, slots=True)
class Monitor:
    """Whom the daemon tells that it is alive."""

    ping_url: Secret | None = None  #: called after a good run; kept secret, it often holds a key


@dataclass(frozen=True, slots=True)
class Backup:
    """Copies of the database that the daemon makes by itself."""

    enabled: bool = False
    every: timedelta = timedelta(days=1)
    keep: int = 7  #: how many copies stay
    path: Path = Path("backups")  #: the folder; absolute once loaded


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what the program writes about itself is kept. The mirror is kept for good."""

    runs: timedelta = timedelta(days=90)  #: `sync_runs`
    log: timedelta = timedelta(
        days=730
    )  #: `change_log`, settled rows of `change_queue`, superseded ones of `held`


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the config file and its secrets say."""

    path: Path | None  #: the file, absolute; None when there is none (tests, the demo)
    database: Database
    http: Http | None  #: None: no page is served
    accounts: tuple[Account, ...]  #: TeleCMI first, in the order of the file
    monitor: Monitor = Monitor()
    backup: Backup = Backup()
    retention: Retention = Retention()
    sources: Mapping[str, Source] = field(default_factory=dict)  #: of each secret: `telecmi.main.token`, ...

    @property
    def telecmi(self) -> tuple[TelecmiAccount, ...]:
        """The accounts at TeleCMI."""
        return tuple(account for account in self.accounts if isinstance(account, TelecmiAccount))

    @property
    def smartflo(self) -> tuple[SmartfloAccount, ...]:
        """The accounts at Smartflo."""
        return tuple(account for account in self.accounts if isinstance(account, SmartfloAccount))

    def account(self, label: str) -> Account:
        """The account of that label (`telecmi.main`); UsageError when there is none."""
        for account in self.accounts:
            if account.label == label:
                return account
        raise UsageError(f"there is no account {label!r}; the config has {self._labels()}")

    def accounts_named(self, word: str) -> tuple[Account, ...]:
        """What `--account WORD` means: one label, or that name at either vendor; UsageError when neither."""
        found = tuple(a for a in self.accounts if a.label == word) or tuple(
            a for a in self.accounts if a.name == word
        )
        if not found:
            raise UsageError(f"there is no account {word!r}; the config has {self._labels()}")
        return found

    def secrets(self) -> Iterator[Secret]:
        """Every secret in use, for whoever has to keep them out of the logs."""
        for holder in (*self.accounts, self.monitor):
            for one in fields(holder):
                value = getattr(holder, one.name)
                if isinstance(value, Secret):
                    yield value

    def _labels(self) -> str:
        return ", ".join(account.label for account in self.accounts)
