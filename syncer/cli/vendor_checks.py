"""Checks of `doctor` that call the vendors: a login, and one cheap page of each enabled list.

They use the clients of a sync, so what works here works there. What they read is discarded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from syncer.cli.findings import Finding, Level
from syncer.cli.output import count, local, span
from syncer.errors import AuthError, BadAnswerError, RejectedError, RemoteError, TransientError
from syncer.remote.client import UNSENT
from syncer.remote.probe import probe
from syncer.sync import registry
from syncer.sync.vendors import Sample, Source

if TYPE_CHECKING:
    from syncer.config import Account
    from syncer.core.model import Page
    from syncer.sync.registry import JobSpec

#: Time limit per account, in seconds.
PATIENCE = 20.0

#: Clock skew, in seconds: from the first on it is a warning, from the second a problem.
SKEWED, WRONG = 60, 3600

#: Warn this many days before a password expires.
FEW_DAYS = 14

Now = Callable[[], datetime]


@dataclass(slots=True)
class _Account:
    """An account under examination."""

    account: Account
    now: Now
    findings: list[Finding] = field(default_factory=list)
    skewed: bool = False
    given_up: bool = False  #: no answer came, so nothing more is asked
    answered: int = 0  #: how many lists were answered
    rows: int = 0  #: how many rows they listed or counted

    @property
    def label(self) -> str:
        """`telecmi.main`."""
        return self.account.label

    def credentials(self, what: str, needs: Sequence[str]) -> str:
        """The keys of this call's credentials."""
        if "login" not in needs:
            return " and ".join(needs)
        if self.account.password is None:
            return "token"
        login = f"{self.account.login} and password"
        return login if self.account.token is None or what == "login" else f"token, or {login},"

    def say(self, level: Level, text: str, fix: str = "", *, credentials: bool = False) -> None:
        """Note a finding."""
        self.findings.append(Finding(level, self.label, text, fix, credentials))

    async def ask(
        self, what: str, call: Callable[[], Awaitable[Page | None]], needs: Sequence[str] = ("login",)
    ) -> None:
        """Make one call and check its answer; errors become findings."""
        if self.given_up:
            return
        try:
            page = await call()
        except AuthError as error:
            fix = f"check {self.credentials(what, needs)} below [{self.label}] in the config"
            if error.locked_until is not None:
                fix += f"; no login before {local(error.locked_until.isoformat())}"
            self.say("problem", f"{what}: {error.call}: {error.text}", fix, credentials=True)
        except RemoteError as error:
            text, fix = error.text, _fix(error, self.account.base_url, self.label)
            self.given_up = isinstance(error, TransientError)
            if error.text.endswith(UNSENT):  # name, firewall or certificate? The call cannot say
                trouble = await probe(self.account.base_url, self.account.ca_file)
                if trouble is not None:
                    text, fix = trouble.text, trouble.fix
            self.say("problem", f"{what}: {error.call}: {text}", fix)
        else:
            if page is not None:
                self._check(what, page)
            else:
                self.say("ok", what)

    def _check(self, what: str, page: Page) -> None:
        self.answered += 1
        self.rows += max(page.size, page.total or 0)
        if page.set_aside:
            reasons = sorted({row.reason for row in page.set_aside})
            text = f"{what}: {count(len(page.set_aside), 'row')} of {page.size} cannot be understood ({reasons[0]})"
            self.say("warning", text, "they are kept in the table set_aside; the others are synced")
        else:
            of = f" of {page.total:,}" if page.total is not None else ""
            self.say("ok", f"{what}: answers as expected, {count(page.size, 'row')}{of} on its first page")
        if page.server_date is None or self.skewed:
            return
        skew = (self.now() - page.server_date).total_seconds()
        if abs(skew) > SKEWED:
            self.skewed = True
            side = "ahead of" if skew > 0 else "behind"
            text = f"the clock of this machine is {span(skew)} {side} the vendor's"
            self.say(
                "problem" if abs(skew) > WRONG else "warning", text, "turn on NTP: timedatectl set-ntp true"
            )


def _fix(error: RemoteError, base_url: str, label: str) -> str:
    match error:
        case TransientError():
            return f"the vendor is in trouble, or not reachable from here; try: curl -v {base_url}"
        case BadAnswerError():
            return (
                f"does base_url below [{label}] lead to the vendor, and not to a proxy's or provider's page? If it "
                "does: `syncer doctor --report PATH` writes what a maintainer needs to know about the answer"
            )
        case RejectedError():
            return f"compare the values below [{label}] with the vendor's dashboard"
        case _:
            return ""


async def check_account(source: Source[Any, Any], now: Now, *, full: bool = False) -> list[Finding]:
    """Read the first page of each enabled list, cheaply or in `full`.

    A login comes first if the vendor allows repeated ones; others lock the account.
    """
    account, client = source.account, source.client
    asked = _Account(account, now)
    jobs = [spec for spec in registry.specs_of(account) if spec.enabled]
    async with source.deadline(PATIENCE):
        needs_login = any("login" in spec.settings.needs for spec in jobs)
        if needs_login and account.may_log_in_again and account.has_login:
            await asked.ask("login", client.login)
        refused = any(one.credentials for one in asked.findings)
        for spec in jobs:
            if refused and "login" in spec.settings.needs:
                continue
            for title, fetch in spec.resource.samples:
                sample = partial(
                    registry.resolve(fetch), source, Sample.PAGE if full else Sample.LITTLE, now()
                )
                await asked.ask(title, sample, spec.settings.needs)
        if await _looks_empty(asked, source, jobs, now()):
            text = (
                "the credentials are accepted but the account looks empty; check in the dashboard which platform it "
                "is on, and `base_url`"
            )
            asked.say("warning", text)
    days_left = getattr(client, "days_left", None)  # not every vendor reports it
    if days_left is not None and days_left <= FEW_DAYS:
        text = f"the password expires in {count(days_left, 'day')}"
        asked.say("warning", text, "set a new one in the vendor's portal, then in the config")
    return asked.findings


async def _looks_empty(
    asked: _Account, source: Source[Any, Any], jobs: Sequence[JobSpec], now: datetime
) -> bool:
    """Whether an account that works lists nothing at all, even over the whole span that is read in windows.

    The vendor's other platform may accept the same credentials, with every list empty.
    """
    if asked.rows or not asked.answered or any(one.level == "problem" for one in asked.findings):
        return False
    for spec in jobs:
        if spec.resource.lists:
            for _, fetch in spec.resource.samples:
                try:
                    page = await registry.resolve(fetch)(source, Sample.ALL, now)
                except RemoteError:
                    return False  # so wide a window may be refused, and one of a day proves little
                if page.size or page.total:
                    return False
    return True
