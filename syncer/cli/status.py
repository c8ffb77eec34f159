"""`syncer status`: how fresh every job is, what waits, and whether requirements hold.

Read from the database alone, so that it tells the truth about a daemon that died.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from syncer.cli import proof
from syncer.cli.common import (
    WORDS,
    App,
    count,
    emit_json,
    example,
    json_option,
    pass_app,
    say,
    say_folded,
    span,
    when,
)
from syncer.cli.tables import show_table

if TYPE_CHECKING:
    from syncer.config import Settings
    from syncer.store.db.read_only import Reader
    from syncer.store.read.coverage import Facts
    from syncer.store.write.accounts import Stray
    from syncer.sync.registry import JobSpec

#: Seconds between two pictures of `--watch`.
STEP = 2.0

#: How the daemon signs its lock: its process and its start.
_SIGNED = re.compile(r"process (\d+), since (\S+) (\S+) UTC")

_REQUIREMENT = re.compile(r"([a-z][a-z-]*)(?:\.([^<\s]+))?\s*<\s*(\S+)")


@dataclass(frozen=True, slots=True)
class Requirement:
    """`telecmi-voicemails<15m`: the last good run of these jobs is younger than that."""

    text: str
    specs: tuple[JobSpec, ...]
    within: timedelta


@click.command(epilog=example("syncer status", "syncer status --require 'telecmi-voicemails<15m'"))
@json_option
@click.option(
    "--require",
    "required",
    metavar="'JOB<AGE'",
    multiple=True,
    type=WORDS,
    help="Exit 1 unless the last good run of JOB (or JOB.ACCOUNT) is younger than AGE. Repeatable.",
)
@click.option(
    "--evidence", is_flag=True, help="How the last listing of each job ended, and what that proves."
)
@click.option("--watch", is_flag=True, help="Refresh it every 2 s, until ctrl-c.")
@click.option("--quiet", is_flag=True, help="Print nothing: the exit code says whether each --require holds.")
@pass_app
@click.pass_context
def status(
    ctx: click.Context,
    app: App,
    as_json: bool,
    required: tuple[str, ...],
    evidence: bool,
    watch: bool,
    quiet: bool,
) -> None:
    """How fresh every job is, whether a daemon runs, and what waits for you.

    With --require it prints nothing as long as all of them hold.
    """
    from syncer.sync import registry

    settings = app.settings()
    specs = registry.specs(settings)
    requirements = [parse_requirement(text, specs, registry.job_names()) for text in required]
    if watch and (as_json or quiet or required):
        raise click.UsageError("--watch is for people: it goes without --json, --quiet and --require")
    while watch:
        now = app.now()
        found = gather(app, settings, specs, now)
        click.clear()
        _show(found, now, evidence=evidence)
        time.sleep(STEP)
    now = app.now()
    found = gather(app, settings, specs, now)
    broken = [
        (requirement.text, why)
        for requirement in requirements
        if (why := failing(requirement, found["jobs"])) is not None
    ]
    if quiet:
        ctx.exit(1 if broken else 0)
    if as_json:
        listed = [
            {"require": r.text, "holds": r.text not in dict(broken), "why": dict(broken).get(r.text)}
            for r in requirements
        ]
        emit_json(found | ({"requirements": listed} if listed else {}))
    elif broken or not required:
        _show(found, now, evidence=evidence)
    for text, why in broken:
        say(f"syncer: {text} does not hold: {why}", err=True)
    ctx.exit(1 if broken else 0)


# -- requirements --------------------------------------------------------------------------------------


def parse_requirement(text: str, specs: Sequence[JobSpec], known: Sequence[str]) -> Requirement:
    """Read one `--require`; click tells what is wrong with it."""
    from syncer.config.units import parse_duration

    match = _REQUIREMENT.fullmatch(text)
    if match is None:
        raise click.UsageError(
            f"--require {text!r} cannot be read; write a job, '<' and a span, such as 'telecmi-voicemails<15m'"
        )
    job, account, within = match.groups()
    if job not in known:
        raise click.UsageError(f"--require: there is no job {job!r}; the jobs are {', '.join(known)}")
    if account is not None and not any(account in (spec.account, spec.label) for spec in specs):
        labels = ", ".join(dict.fromkeys(spec.label for spec in specs))
        raise click.UsageError(f"--require: there is no account {account!r}; the config has {labels}")
    try:
        age = parse_duration(within)
    except ValueError as error:
        raise click.UsageError(f"--require: {within!r} {error}") from None
    chosen = tuple(
        spec
        for spec in specs
        if spec.job == job and (account is None or account in (spec.account, spec.label))
    )
    return Requirement(text, chosen, age)


def failing(requirement: Requirement, jobs: Sequence[dict[str, Any]]) -> str | None:
    """Why a requirement does not hold; None when it does."""
    enabled = [spec for spec in requirement.specs if spec.enabled]
    if not enabled:
        return "the config has no such job, or switches it off"
    ages = {(job["job"], job["account"]): job["age_s"] for job in jobs}
    for spec in enabled:
        age = ages[spec.job, spec.account]
        if age is None:
            return f"{spec.job} of {spec.account} never had a good run"
        if _is_ahead(age):
            return f"the last good run of {spec.job} of {spec.account} is dated {span(age)} ahead of now"
        if age >= requirement.within.total_seconds():
            return f"the last good run of {spec.job} of {spec.account} was {span(age)} ago"
    return None


def _is_ahead(age: float) -> bool:
    from syncer.core.due import SLACK

    return age < -SLACK.total_seconds()


# -- what is known -------------------------------------------------------------------------------------


def gather(app: App, settings: Settings, specs: Sequence[JobSpec], now: datetime) -> dict[str, Any]:
    """All of the status, fit for JSON. A database that does not exist yet is no error: nothing ran."""
    path = settings.database.path
    if not path.exists() or path.stat().st_size == 0:
        return _summary(settings, None, specs, {}, [], [], {}, [], {}, {}, None, [])
    from syncer.store.db import home, revision
    from syncer.store.read import coverage, status_queries
    from syncer.store.write import accounts, received

    with app.reading(settings) as db, db.read() as conn:
        return _summary(
            settings,
            revision.current(conn),
            specs,
            status_queries.queue_counts(conn),
            status_queries.list_holds(conn),
            _waiting(conn),
            status_queries.jobs(conn),
            status_queries.set_aside_counts(conn),
            coverage.load(conn, proof.wanted(specs, now)),
            received.clocks(conn),
            home.elsewhere(conn, home.place_of(path)),
            accounts.strays(conn, {account.label for account in settings.accounts}),
        )


def _daemon(settings: Settings) -> dict[str, Any] | None:
    """The daemon that runs now: its `pid` and `since`; None when there is none."""
    from syncer.locks import DAEMON, Locks

    signed = Locks(settings.database.path, "syncer status").held_by(DAEMON)
    if signed is None:
        return None
    match = _SIGNED.search(signed)
    pid, since = (int(match[1]), f"{match[2]}T{match[3]}.000Z") if match else (None, None)
    return {"pid": pid, "since": since}


def _waiting(conn: Reader) -> list[dict[str, Any]]:
    from syncer.store.read import status_queries

    people = ("conflict", "rejected", "held")
    open_changes = status_queries.list_changes(conn)
    return [status_queries.queue_columns(change) for change in open_changes if change["state"] in people]


def _summary(
    settings: Settings,
    revision: str | None,
    specs: Sequence[JobSpec],
    queue: dict[str, int],
    holds: list[dict[str, Any]],
    waiting: list[dict[str, Any]],
    known: dict[tuple[str, str], dict[str, Any]],
    aside: list[dict[str, Any]],
    facts: dict[tuple[str, str], Facts],
    clocks: dict[str, str],
    elsewhere: str | None,
    strays: list[Stray],
) -> dict[str, Any]:
    from syncer.core.model import State

    jobs = [
        _job(spec, known.get((spec.job, spec.account), {}))
        | proof.of_job(facts.get((spec.job, spec.account)))
        for spec in specs
        if spec.enabled
    ]
    return {
        "database": str(settings.database.path),
        "schema": revision,
        "elsewhere": elsewhere,
        "daemon": _daemon(settings),
        "jobs": jobs,
        "queue": {state.value: queue.get(state.value, 0) for state in State},
        "conflicts": queue.get("conflict", 0),
        "rejected": queue.get("rejected", 0),
        "held_deletes": queue.get("held", 0),
        "waiting": waiting,
        "held": holds,
        "clocks": {account.label: clocks.get(account.name, "unknown") for account in settings.telecmi},
        "quiescence_violations": sum(one.quiescence_violations for one in facts.values()),
        "set_aside": sum(row["rows"] for row in aside),
        "set_aside_by_job": aside,
        "unknown_accounts": [
            {"account": one.label, "counts": dict(one.counts), "problem": str(one), "advice": one.advice}
            for one in strays
        ],
    }


def _job(spec: JobSpec, row: dict[str, Any]) -> dict[str, Any]:
    return {
        "job": spec.job,
        "account": spec.account,
        "last_ok_at": row.get("last_ok_at"),
        "age_s": row.get("age_s"),
        "every_s": int(spec.every.total_seconds()),
        "stale": row.get("stale") != 0,
        "last_complete_at": row.get("last_complete_at"),
        "outcome": row.get("outcome"),
        "error": row.get("error"),
        "failures": row.get("failures", 0),
        "paused_until": row.get("paused_until"),
        "running_since": row.get("running_since"),
    }


# -- for people ----------------------------------------------------------------------------------------


def _show(found: dict[str, Any], now: datetime, *, evidence: bool) -> None:
    if found["schema"] is None:
        say_folded(f"The database {found['database']} does not exist yet: `syncer sync` makes and fills it.")
    else:
        say_folded(f"The database {found['database']}, schema {found['schema']}.")
    if found["elsewhere"]:
        say_folded(f"Note: {found['elsewhere']}.")
    daemon = found["daemon"]
    if daemon is None:
        say_folded("No daemon runs: `syncer run`, or `systemctl start syncer`.")
    else:
        say_folded(
            f"A daemon runs: process {daemon['pid'] or 'unknown'}, started {when(daemon['since'], now)}."
        )
    say()
    show_table(
        ("job", "account", "is", "last good run", "every", "outcome", "listing"),
        (
            (
                job["job"],
                job["account"],
                "never" if job["age_s"] is None else "stale" if job["stale"] else "fresh",
                when(job["last_ok_at"], now),
                span(job["every_s"]),
                job["outcome"],
                proof.verdict(job["listing"]),
            )
            for job in found["jobs"]
        ),
    )
    for job in found["jobs"]:
        _show_trouble(job, now)
        proof.show(job, now, evidence=evidence)
    say()
    depth = [f"{number} {state}" for state, number in found["queue"].items() if state != "done" and number]
    say_folded(f"Queue: {', '.join(depth) or 'nothing waits'}; {found['queue']['done']} done.")
    for change in found["waiting"]:
        say_folded(f"  {_settle(change)}")
    for hold in found["held"]:
        say()
        say_folded(
            f"Held {hold['id']}: {hold['job']} of {hold['account']}, {count(hold['rows'], 'row')}: {hold['reason']}"
        )
        say_folded(
            f"  `syncer held show {hold['id']}`, then `syncer held approve {hold['id']}` or `reject {hold['id']}`"
        )
    for aside in found["set_aside_by_job"]:
        say()
        say_folded(
            f"{aside['job']} of {aside['account']}: {count(aside['rows'], 'row')} could not be understood and "
            f"stands in the table set_aside ({aside['reason']})."
        )
    for stray in found["unknown_accounts"]:
        say()
        say(f"{stray['problem']}:")
        say(f"  {stray['advice']}.")


def _show_trouble(job: dict[str, Any], now: datetime) -> None:
    name = f"{job['job']} of {job['account']}"
    if job["age_s"] is not None and _is_ahead(job["age_s"]):
        say_folded(
            f"  {name}: its last good run is dated ahead of now, by a clock that was wrong; the next one corrects it"
        )
    if job["outcome"] not in (None, "ok"):
        times = f", {count(job['failures'], 'time')} in a row" if job["failures"] > 1 else ""
        say_folded(f"  {name}: {job['outcome']}{times}: {job['error'] or 'no reason was noted'}")
    if job["paused_until"]:
        say_folded(
            f"  {name} pauses until {when(job['paused_until'], now)}; `syncer sync {job['job']}` tries it now."
        )


def _settle(change: dict[str, Any]) -> str:
    number, error = change["id"], change["last_error"]
    match change["state"]:
        case "conflict":
            what = f"`syncer queue resolve {number} --keep local|remote`"
        case "rejected":
            what = f"`syncer queue retry {number}` or `syncer queue discard {number}`"
        case _:
            what = f"`syncer queue approve {number}` or `syncer queue discard {number}`"
    why = f" ({error})" if error else ""
    return f"change {number}, {change['state']}: {change['operation']} of contact row {change['contact_row']}{why}: {what}"
