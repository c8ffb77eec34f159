"""Declares every resource once: a job of an account or target, and the tables that it fills.

Schedules, `status`, metrics, `verify`, `forget`, `doctor` and the docs tests read these declarations. CONTRIBUTING.md
lists the steps to add one. This module imports nothing that fetches, so commands that only read the mirror start fast.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from syncer.config import VENDORS, Account, Job, Settings
from syncer.config.schema import Named
from syncer.errors import ConfigError, UsageError

#: A function, or "module:function" of one that is imported when it is first called.
Function = str | Callable[..., Any]

VOICEMAILS: Final = "telecmi-voicemails"
AUDIO: Final = "telecmi-audio"
CONTACTS: Final = "telecmi-contacts"
USER_CONTACTS: Final = "telecmi-user-contacts"
PUSH: Final = "telecmi-push"
SMARTFLO: Final = "smartflo-contacts"
PUBLISH: Final = "publish"


@dataclass(frozen=True, slots=True)
class Resource:
    """A job of an account or target, and what it mirrors or sends."""

    job: str  #: `telecmi-contacts`
    vendor: str  #: or the kind of its target: `notify`
    section: str  #: the key of its table in an account of the config: `contacts`
    run: Function  #: async `(run, source)`
    samples: tuple[tuple[str, Function], ...] = ()
    """What `doctor` requests, each with a name: async `(source, Sample, now) -> Page`."""
    tables: tuple[str, ...] = ()  #: the mirrors that it fills
    optional: bool = False  #: the job only exists if the config enables it
    requires: str | None = None  #: the section that has to be enabled as well
    lists: tuple[str, ...] = ()  #: the lists that are read in time windows, as `windows` names them
    prepare: Function | None = None
    """Checks and creates what the job needs on this machine: `(settings)`. Raises ConfigError."""
    next_due: Function | None = None
    """For a job that sends or retries: `(connection, account, now)` -> the number of items that are due now, and when
    the next one is due (UTC text, or None)."""
    listen: Function | None = None
    """In the daemon, waits for events that start the job: async `(source, wake)`, never returns."""
    only_at_home: bool = False  #: it sends, so it does not run in a copy of the database elsewhere
    rings: bool = False  #: the doorbell of its account starts it
    last: bool = False  #: a `sync` runs it after the jobs of all accounts


#: In the order in which one `sync` runs the jobs of an account.
RESOURCES: list[Resource] = [
    Resource(
        VOICEMAILS,
        "telecmi",
        "voicemails",
        "syncer.sync.telecmi_voicemails:pull_voicemails",
        samples=(("voicemails", "syncer.sync.telecmi_voicemails:first_page"),),
        tables=("telecmi_voicemails",),
        lists=("telecmi_voicemails",),
        rings=True,
    ),
    Resource(
        "telecmi-calls",
        "telecmi",
        "calls",
        "syncer.sync.telecmi_calls:pull_calls",
        samples=(("calls", "syncer.sync.telecmi_calls:first_page"),),
        tables=("telecmi_calls",),
        optional=True,
        rings=True,
        lists=tuple(f"telecmi_calls.{kind}" for kind in ("answered", "missed", "out_answered", "out_missed")),
    ),
    Resource(
        AUDIO,
        "telecmi",
        "audio",
        "syncer.sync.telecmi_audio:fetch_recordings",
        optional=True,
        prepare="syncer.sync.recordings:prepare",
        next_due="syncer.store.read.audio_queries:next_due",
    ),
    Resource(
        CONTACTS,
        "telecmi",
        "contacts",
        "syncer.sync.telecmi_contacts:pull_directory",
        samples=(("directory", "syncer.sync.telecmi_contacts:first_page"),),
        tables=("telecmi_contacts",),
    ),
    Resource(
        USER_CONTACTS,
        "telecmi",
        "user_contacts",
        "syncer.sync.telecmi_user_contacts:pull_user_contacts",
        samples=(("user contacts", "syncer.sync.telecmi_user_contacts:first_page"),),
        tables=("telecmi_user_contacts",),
    ),
    Resource(
        PUSH,
        "telecmi",
        "push",
        "syncer.sync.push:push_changes",
        requires="contacts",
        next_due="syncer.store.write.queue:next_due",
        only_at_home=True,
    ),
    Resource(
        SMARTFLO,
        "smartflo",
        "contacts",
        "syncer.sync.smartflo_contacts:pull_smartflo",
        samples=(
            ("contacts", "syncer.sync.smartflo_contacts:first_page"),
            ("groups", "syncer.sync.smartflo_contacts:first_groups_page"),
        ),
        tables=("smartflo_contacts", "smartflo_contact_groups"),
    ),
    Resource(
        "smartflo-calls",
        "smartflo",
        "calls",
        "syncer.sync.smartflo_calls:pull_calls",
        samples=(("calls", "syncer.sync.smartflo_calls:first_page"),),
        tables=("smartflo_calls",),
        lists=("smartflo_calls",),
        optional=True,
        rings=True,
    ),
    Resource(
        "notify",
        "notify",
        "delivery",
        "syncer.sync.notify:deliver",
        optional=True,
        last=True,
        next_due="syncer.store.write.outbox:next_due",
        only_at_home=True,
    ),
    Resource(
        PUBLISH,
        "publish",
        "publish",
        "syncer.sync.publish:publish",
        optional=True,
        last=True,
        next_due="syncer.store.write.publishing:next_due",
        listen="syncer.sync.publish:listen",
        only_at_home=True,
    ),
]

#: By kind of target that has jobs: `(target, clock)` -> the source.
TARGETS: dict[str, Function] = {
    "notify": "syncer.sync.notify:connect",
    "publish": "syncer.sync.publish:connect",
}

#: By vendor: `(api, account, token store)` -> the client.
CLIENTS: dict[str, Function] = {
    "telecmi": "syncer.sync.vendors:connect_telecmi",
    "smartflo": "syncer.sync.vendors:connect_smartflo",
}


def add_vendor(account: type[Account], connect: Function) -> None:
    """Add a vendor: the class of its accounts in the config, and what creates the client (see `CLIENTS`)."""
    VENDORS[account.kind] = account
    CLIENTS[account.kind] = connect


def add_resource(resource: Resource) -> None:
    """Add a resource. `sync` runs it after the others."""
    RESOURCES.append(resource)


def resolve(function: Function) -> Callable[..., Any]:
    """Import the function if it is given by name."""
    found: Callable[..., Any] = pkgutil.resolve_name(function) if isinstance(function, str) else function
    return found


def job_names() -> tuple[str, ...]:
    """The names of all jobs, in the order in which they run."""
    return tuple(resource.job for resource in RESOURCES)


def jobs_by_table() -> dict[str, str]:
    """By mirror: the job that fills it."""
    return {table: resource.job for resource in RESOURCES for table in resource.tables}


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One job of one account or target, as the config has it."""

    resource: Resource
    config: Named

    @property
    def job(self) -> str:
        """`telecmi-contacts`."""
        return self.resource.job

    @property
    def provider(self) -> str:
        """`telecmi`."""
        return self.resource.vendor

    @property
    def account(self) -> str:
        """The account's name: `main`."""
        return self.config.name

    @property
    def label(self) -> str:
        """`telecmi.main`."""
        return self.config.label

    @property
    def lock(self) -> str:
        """The lock under which it runs."""
        return lock_name(self.job, self.account)

    @property
    def settings(self) -> Job:
        """Its table in the config."""
        return self.config.jobs()[self.resource.section]

    @property
    def every(self) -> timedelta:
        """From one start to the next."""
        return self.settings.every

    @property
    def enabled(self) -> bool:
        """Whether it runs at all."""
        required = self.resource.requires
        return self.settings.enabled and (required is None or self.config.jobs()[required].enabled)


def specs(settings: Settings) -> tuple[JobSpec, ...]:
    """All jobs of all accounts, in the order in which a `sync` runs them."""
    return tuple(spec for one in (*settings.accounts, *settings.targets) for spec in specs_of(one))


def specs_of(config: Named) -> tuple[JobSpec, ...]:
    """The jobs of one account or target."""
    found = (JobSpec(resource, config) for resource in RESOURCES if resource.vendor == config.kind)
    return tuple(spec for spec in found if spec.enabled or not spec.resource.optional)


def select(all_specs: Sequence[JobSpec], names: Sequence[str], account: str | None) -> tuple[JobSpec, ...]:
    """The enabled jobs with these names (none: all jobs), of all accounts or of one.

    Raises UsageError for a job or account that does not exist or is switched off.
    """
    for name in names:
        if name not in job_names():
            raise UsageError(f"there is no job {name!r}; the jobs are {', '.join(job_names())}")
    if account is not None and not any(account in (s.account, s.label) for s in all_specs):
        known = ", ".join(dict.fromkeys(s.label for s in all_specs))
        raise UsageError(f"there is no account {account!r}; the config has {known}")
    named = [s for s in all_specs if not names or s.job in names]
    chosen = tuple(s for s in named if account is None or account in (s.account, s.label))
    enabled = tuple(s for s in chosen if s.enabled)
    if names and not enabled:
        raise UsageError(f"{', '.join(names)}: the config switches it off, or has no account for it")
    return enabled


def prepare(settings: Settings, chosen: Sequence[JobSpec]) -> None:
    """Check and create what these jobs need on this machine. Raises ConfigError with all problems."""
    problems: list[str] = []
    for function in dict.fromkeys(spec.resource.prepare for spec in chosen if spec.enabled):
        if function is not None:
            try:
                resolve(function)(settings)
            except ConfigError as error:
                problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)


def lock_name(job: str, account: str) -> str:
    """The lock under which a job of an account runs."""
    return f"{job}.{account}"
