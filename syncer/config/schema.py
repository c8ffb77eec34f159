"""The tables of the config file, with their keys and defaults. Their instances are the settings of the program.

A vendor is a subclass of `Account` in `VENDORS`, and a job is a table in it. `targets` declares the tables for
notifications, lookups and published copies; `keys` and `load` read tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import urlsplit

from syncer.config import units
from syncer.config.keys import Table, count, key, rate, secret, table, text, yes_no
from syncer.config.regions import REGIONS
from syncer.core.model import OnConflict
from syncer.core.secret import Secret

#: The names of this machine's loopback in a `Host` header.
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


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
            'must be "6h" or more: a voicemail may be stamped 5 h 30 min late, and a shorter overlap would miss it'
        )
    return span


def _path(value: object) -> Path:
    written = text(value)
    if not written:
        raise ValueError("names no path; write one, or remove the key")
    return Path(written)


def _group(value: object) -> str:
    name = text(value)
    if not name:
        raise ValueError("is empty; name a group of this machine, or remove the key")
    return name


def _ping_url(value: object) -> Secret:
    return Secret(units.parse_ping_url(value))


def _database_url(value: object) -> str:
    return f"sqlite:///{units.parse_database_url(value)}"


# -- the tables that exist once ------------------------------------------------------------------------


@dataclass(frozen=True)
class DatabaseConfig(Table):
    """`[database]`: where the mirror lives."""

    url: str = key(_database_url, "sqlite:///syncer.db")  # absolute once loaded
    group: str | None = key(_group, None)  # may read and write the file; None: only the owner

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.url.removeprefix("sqlite:///"))


@dataclass(frozen=True)
class Http(Table):
    """`[http]`: where the daemon answers `/healthz` and `/metrics`, and serves the web page."""

    listen: tuple[str, int] | None = key(units.parse_listen, None)  # host and port; None: nothing is served
    hosts: frozenset[str] | None = key(units.parse_hosts, None)
    console: bool = key(yes_no, False)  # whether the web page is served
    url: str | None = key(units.parse_page_url, None)  # where people open the page, for links

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port to listen on."""
        assert self.listen is not None
        return self.listen

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """The allowed `Host` headers, without the port.

        By default these are the names of the loopback, and the host of `url` or else the address to listen on.
        """
        if self.hosts is not None:
            return self.hosts
        base = urlsplit(self.base)
        return LOOPBACK | {base.netloc.lower().removesuffix(f":{base.port}")}

    @property
    def base(self) -> str:
        """The beginning of links to the page, without a trailing slash."""
        if self.url is not None:
            return self.url
        host, port = self.address
        if host in ("0.0.0.0", "::"):  # noqa: S104 - not bound here
            host = "127.0.0.1"
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@dataclass(frozen=True)
class Monitor(Table):
    """`[monitor]`: the service that the daemon calls to show that it is alive."""

    ping_url: Secret | None = key(_ping_url, None)  # called after a good run; often holds a key


@dataclass(frozen=True)
class Backup(Table):
    """`[backup]`: copies of the database that the daemon makes."""

    enabled: bool = key(yes_no, False)
    every: timedelta = key(units.parse_duration, timedelta(days=1))
    keep: int = key(count(10000), 7)
    path: Path = key(_path, Path("backups"))  # absolute once loaded


@dataclass(frozen=True)
class AudioFolder(Table):
    """`[audio]`: the folder for recordings of voicemails."""

    path: Path = key(_path, Path("audio"))  # absolute once loaded


@dataclass(frozen=True)
class Retention(Table):
    """`[retention]`: how long the program's own records are kept. The mirror is kept forever."""

    runs: timedelta = key(units.parse_duration, timedelta(days=90))  # `sync_runs`
    log: timedelta = key(units.parse_duration, timedelta(days=730))  # `change_log` and settled changes


# -- jobs ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job(Table):
    """A job of an account."""

    #: The credentials that it sends: "login" (a token, or the login that gets one), or keys of the account.
    needs: ClassVar[tuple[str, ...]] = ("login",)

    enabled: bool = key(yes_no, True)
    every: timedelta = key(units.parse_duration, timedelta(minutes=15))


@dataclass(frozen=True)
class Windowed(Job):
    """A job that reads its list in time windows."""

    every: timedelta = key(units.parse_duration, timedelta(minutes=5))
    since: timedelta | datetime = key(units.parse_since, timedelta(days=30))  # how far back the mirror starts
    window: timedelta = key(units.parse_duration, timedelta(days=1))  # the span of one request
    overlap: timedelta = key(_overlap, timedelta(hours=24))  # how far back each run reads again

    def begin(self, now: datetime) -> datetime:
        """The time at which the mirror starts."""
        return now - self.since if isinstance(self.since, timedelta) else self.since


@dataclass(frozen=True)
class Voicemails(Windowed):
    """`voicemails = {...}` of a TeleCMI account."""

    needs = ("app_id", "secret")


@dataclass(frozen=True)
class TelecmiCalls(Windowed):
    """`calls = {...}` of a TeleCMI account."""

    needs = ("app_id", "secret")

    enabled: bool = key(yes_no, False)
    overlap: timedelta = key(units.parse_duration, timedelta(hours=24))


@dataclass(frozen=True)
class SmartfloCalls(Windowed):
    """`calls = {...}` of a Smartflo account."""

    enabled: bool = key(yes_no, False)
    every: timedelta = key(units.parse_duration, timedelta(minutes=10))
    overlap: timedelta = key(units.parse_duration, timedelta(hours=24))


@dataclass(frozen=True)
class Audio(Job):
    """`audio = {...}` of a TeleCMI account: recordings of its voicemails."""

    needs = ("app_id", "secret")

    enabled: bool = key(yes_no, False)
    every: timedelta = key(units.parse_duration, timedelta(minutes=2))
    keep: timedelta = key(units.parse_duration, timedelta(days=365))  # since the voicemail was received
    max_size: int = key(units.parse_size, units.Size(5 * 10**9))  # bytes of all recordings of the account


@dataclass(frozen=True)
class PushConfig(Job):
    """`push = {...}` of a TeleCMI account."""

    every: timedelta = key(units.parse_duration, timedelta(seconds=30))
    deletes: bool = key(yes_no, False)  # whether a local DELETE is sent without approval
    on_conflict: OnConflict = key(_on_conflict, "ask")


@dataclass(frozen=True)
class SmartfloContacts(Job):
    """`contacts = {...}` of a Smartflo account."""

    every: timedelta = key(units.parse_duration, timedelta(minutes=10))
    overlap: timedelta = key(units.parse_duration, timedelta(minutes=10))  # behind the cursor
    full_every: timedelta = key(units.parse_duration, timedelta(days=1))  # only full listings find deletions


# -- accounts ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Named(Table):
    """A table with a name of its own, of which there can be several: `[telecmi.main]`."""

    kind: ClassVar[str]  #: the first word of the heading: `telecmi`
    needs_pages: ClassVar[bool] = False  #: it needs the address of `[http]`

    name: str = ""

    @property
    def label(self) -> str:
        """`telecmi.main`: unique across all kinds."""
        return f"{self.kind}.{self.name}"

    def secrets(self) -> dict[str, Secret]:
        """Its secrets that are set, by key."""
        order = {"secret": 0, "password": 1, "token": 2}
        found = {name: value for name, value in vars(self).items() if isinstance(value, Secret)}
        return dict(sorted(found.items(), key=lambda one: order.get(one[0], 3)))

    def jobs(self) -> dict[str, Job]:
        """Its jobs, by key."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Job)}

    def faults(self, bad: frozenset[str]) -> Iterator[str]:
        """What is wrong with the table as a whole, a sentence each; the keys in `bad` are reported already."""
        del bad
        yield from ()

    @classmethod
    def faults_between(cls, found: Sequence[Named]) -> Iterator[str]:
        """What is wrong with the tables of this kind together, a sentence each."""
        del found
        yield from ()


@dataclass(frozen=True)
class Account(Named):
    """The keys of all vendors' accounts."""

    login: ClassVar[str]  #: the key of the login's user name
    may_log_in_again: ClassVar[bool] = False  #: repeated logins do not lock the account out

    base_url: str = key(units.parse_base_url, "")  # without a trailing slash
    password: Secret | None = secret()
    token: Secret | None = secret()  # used first; the login if it has expired
    doorbell_key: Secret | None = secret()  # turns on /doorbell/LABEL/KEY
    requests_per_second: float = key(rate, 1.0)
    concurrency: int = key(count(100), 2)
    timeout: timedelta = key(units.parse_duration, timedelta(seconds=30))  # for a whole call
    region: str = key(_region, "IN")  # how phone numbers without a country code are read
    max_deletions: float = key(units.parse_percent, 0.1)  # a share: 0.1 is 10 %
    ca_file: Path | None = key(_path, None)  # additional certificates to trust

    @property
    def has_login(self) -> bool:
        """Whether a user and a password are set."""
        return bool(getattr(self, self.login) and self.password)

    def faults(self, bad: frozenset[str]) -> Iterator[str]:
        """A doorbell key that no address can hold."""
        key = None if "doorbell_key" in bad else self.doorbell_key
        if key is not None and re.fullmatch(r"[A-Za-z0-9._~-]{1,200}", key.reveal()) is None:
            yield (
                f"{self.label}.doorbell_key cannot be part of an address; write up to 200 letters, digits, '-', "
                "'.', '_' or '~', chosen at random."
            )


@dataclass(frozen=True)
class TelecmiAccount(Account):
    """`[telecmi.NAME]`"""

    kind = "telecmi"
    login = "user_id"
    may_log_in_again = True

    base_url: str = key(units.parse_base_url, "https://rest.telecmi.com")
    app_id: int | None = key(
        units.parse_app_id, None, hint="app_id = 1111113 with the number from the vendor's dashboard"
    )
    secret: Secret | None = secret()
    user_id: str | None = key(text, None)
    requests_per_second: float = key(rate, 5.0)
    concurrency: int = key(count(100), 4)
    voicemails: Voicemails = table(Voicemails())
    calls: TelecmiCalls = table(TelecmiCalls())
    audio: Audio = table(Audio())
    contacts: Job = table(Job())
    user_contacts: Job = table(Job(every=timedelta(hours=1)))
    push: PushConfig = table(PushConfig())


@dataclass(frozen=True)
class SmartfloAccount(Account):
    """`[smartflo.NAME]`"""

    kind = "smartflo"
    login = "email"

    base_url: str = key(units.parse_base_url, "https://api-smartflo.tatateleservices.com")
    email: str | None = key(text, None)
    updated_after_format: str = key(units.parse_stamp_format, "%Y-%m-%d %H:%M:%S")  # in UTC
    contacts: SmartfloContacts = table(SmartfloContacts())
    calls: SmartfloCalls = table(SmartfloCalls())


def placeholders(account: Account) -> list[str]:
    """Keys that the account's jobs need and that still have the `"..."` of the example."""
    needed = {need for job in account.jobs().values() if job.enabled for need in job.needs}
    login = (account.login, "password", "token") if "login" in needed else ()
    return [name for name in (*sorted(needed - {"login"}), *login) if _is_placeholder(getattr(account, name))]


def _is_placeholder(value: object) -> bool:
    shown = value.reveal() if isinstance(value, Secret) else value
    return isinstance(shown, str) and bool(shown) and not shown.strip().strip(".\N{HORIZONTAL ELLIPSIS}")


#: The tables that exist once.
SECTIONS: Final[Mapping[str, type[Table]]] = {
    "database": DatabaseConfig,
    "http": Http,
    "monitor": Monitor,
    "backup": Backup,
    "audio": AudioFolder,
    "retention": Retention,
}

#: The tables that exist once per account, by vendor.
VENDORS: dict[str, type[Account]] = {"telecmi": TelecmiAccount, "smartflo": SmartfloAccount}
