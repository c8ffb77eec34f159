"""Which jobs there are, by the config: the list that all commands share.

It imports nothing that fetches or decides, so that looking at the mirror starts at once. How a job
runs is left to `jobs.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from syncer.config import Settings
from syncer.errors import UsageError

VOICEMAILS: Final = "telecmi-voicemails"
CONTACTS: Final = "telecmi-contacts"
USER_CONTACTS: Final = "telecmi-user-contacts"
PUSH: Final = "telecmi-push"
SMARTFLO: Final = "smartflo-contacts"

#: In the order in which one `sync` runs them, per account.
JOBS = (VOICEMAILS, CONTACTS, USER_CONTACTS, PUSH, SMARTFLO)


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One job of one account, as the config has it."""

    job: str
    account: str  #: the account's name
    label: str  #: `telecmi.main`
    provider: str
    every: timedelta
    enabled: bool


def specs(settings: Settings) -> tuple[JobSpec, ...]:
    """All jobs of all accounts, in the order in which a `sync` runs them."""
    out = []
    for telecmi in settings.telecmi:
        for job, of in (
            (VOICEMAILS, telecmi.voicemails),
            (CONTACTS, telecmi.contacts),
            (USER_CONTACTS, telecmi.user_contacts),
            (PUSH, telecmi.push),
        ):
            enabled = of.enabled and (job != PUSH or telecmi.contacts.enabled)
            out.append(JobSpec(job, telecmi.name, telecmi.label, "telecmi", of.every, enabled))
    for flo in settings.smartflo:
        of_flo = flo.contacts
        out.append(JobSpec(SMARTFLO, flo.name, flo.label, "smartflo", of_flo.every, of_flo.enabled))
    return tuple(out)


def select(all_specs: Sequence[JobSpec], names: Sequence[str], account: str | None) -> tuple[JobSpec, ...]:
    """The enabled jobs that a person named: all of them, some, or those of one account.

    Raises UsageError for a job or account that does not exist, or that the config switched off.
    """
    for name in names:
        if name not in JOBS:
            raise UsageError(f"there is no job {name!r}; the jobs are {', '.join(JOBS)}")
    if account is not None and not any(account in (s.account, s.label) for s in all_specs):
        known = ", ".join(dict.fromkeys(s.label for s in all_specs))
        raise UsageError(f"there is no account {account!r}; the config has {known}")
    named = [s for s in all_specs if not names or s.job in names]
    chosen = tuple(s for s in named if account is None or account in (s.account, s.label))
    enabled = tuple(s for s in chosen if s.enabled)
    if names and not enabled:
        raise UsageError(f"{', '.join(names)}: the config switches it off, or has no account for it")
    return enabled


def lock_name(spec: JobSpec) -> str:
    """The lock under which this job of this account runs."""
    return f"{spec.job}.{spec.account}"
