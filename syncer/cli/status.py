"""`syncer status`: shows how fresh every job is and what waits, and checks requirements.

It reads only the database, so it is correct even if the daemon died.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from syncer.cli import evidence
from syncer.cli.app import App, pass_app
from syncer.cli.options import WORDS, example, json_option
from syncer.cli.output import count, emit_json, say, say_folded, show_table, span, when
from syncer.sync import proof

if TYPE_CHECKING:
    from syncer.config import Settings
    from syncer.store.db.read_only import Reader, Record
    from syncer.sync.registry import JobSpec

#: Seconds between two refreshes of `--watch`.
STEP = 2.0

#: What the daemon writes into its lock: its process and when it started.
_SIGNED = re.compile(r"process (\d+), since (\S+) (\S+) UTC")

#: The columns of a job that `status` shows.
HEALTH = ("last_ok_at", "age_s", "last_complete_at", "outcome", "error", "paused_until", "running_since")

#: States in which a change waits for a person -> the commands that settle it.
WAITING = {
    "conflict": "`syncer queue resolve N --keep local|remote`",
    "rejected": "`syncer queue retry N` or `syncer queue discard N`",
    "held": "`syncer queue approve N` or `syncer queue discard N`",
}

#: The state of a copy to which nothing was published yet.
_NOT_PUBLISHED = dict.fromkeys(("seq", "published_at", "swept_at", "lag_s", "error"))

_REQUIREMENT = re.compile(r"([a-z][a-z-]*)(?:\.([^<\s]+))?\s*<\s*(\S+)")


@dataclass(frozen=True, slots=True)
class Requirement:
    """`telecmi-voicemails<15m`: each of these jobs must have succeeded within that time."""

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
    help="Exit 1 unless JOB (or JOB.ACCOUNT) last succeeded less than AGE ago. Repeatable.",
)
@click.option(
    "--evidence",
    "with_evidence",
    is_flag=True,
    help="Show how the last listing of each job ended, and what it proves.",
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
    with_evidence: bool,
    watch: bool,
    quiet: bool,
) -> None:
    """Show how fresh every job is, whether a daemon runs, and what waits for you.

    With --require it prints nothing if all of them hold.
    """
    from syncer.sync import registry

    settings = app.settings()
    specs = registry.specs(settings)
    requirements = [parse_requirement(text, specs, registry.job_names()) for text in required]
    if watch and (as_json or quiet or required):
        raise click.UsageError("--watch cannot be used with --json, --quiet or --require")
    while watch:
        now = app.now()
        found = gather(app, settings, specs, now)
        click.clear()
        _show(found, now, with_evidence=with_evidence)
        time.sleep(STEP)
    now = app.now()
    found = gather(app, settings, specs, now)
    checked = [(one.text, failing(one, found["jobs"])) for one in requirements]
    broken = [(text, why) for text, why in checked if why is not None]
    if quiet:
        ctx.exit(1 if broken else 0)
    if as_json:
        listed = [{"require": text, "holds": why is None, "why": why} for text, why in checked]
        emit_json(found | ({"requirements": listed} if listed else {}))
    elif broken or not required:
        _show(found, now, with_evidence=with_evidence)
    for text, why in broken:
        say(f"syncer: {text} does not hold: {why}", err=True)
    ctx.exit(1 if broken else 0)


# -- requirements --------------------------------------------------------------------------------------


def parse_requirement(text: str, specs: Sequence[JobSpec], known: Sequence[str]) -> Requirement:
    """Read one `--require`."""
    from syncer.config.units import parse_duration

    match = _REQUIREMENT.fullmatch(text)
    if match is None:
        raise click.UsageError(
            f"--require {text!r} cannot be read; write a job, '<' and a span, for example 'telecmi-voicemails<15m'"
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
    """Why a requirement does not hold, or None."""
    enabled = [spec for spec in requirement.specs if spec.enabled]
    if not enabled:
        return "the config has no such job, or disables it"
    ages = {(job["job"], job["account"]): job["age_s"] for job in jobs}
    for spec in enabled:
        age = ages[spec.job, spec.account]
        if age is None:
            return f"{spec.job} of {spec.account} never succeeded"
        if _is_ahead(age):
            return f"the last success of {spec.job} of {spec.account} is dated {span(age)} in the future"
        if age >= requirement.within.total_seconds():
            return f"the last success of {spec.job} of {spec.account} was {span(age)} ago"
    return None


def _is_ahead(age: float) -> bool:
    from syncer.core.due import SLACK

    return age < -SLACK.total_seconds()


# -- what is known -------------------------------------------------------------------------------------


def gather(app: App, settings: Settings, specs: Sequence[JobSpec], now: datetime) -> dict[str, Any]:
    """The whole status, ready for JSON. Before the database exists, no job has run."""
    from syncer.config.targets import PublishTarget
    from syncer.core.model import State
    from syncer.store.db import home, revision
    from syncer.store.read import coverage, outbox, publish_queries, status_queries
    from syncer.store.write import accounts, received

    path = settings.database.path
    schema = elsewhere = callbacks = None
    jobs: dict[tuple[str, str], Record] = {}
    facts: dict[tuple[str, str], coverage.Facts] = {}
    queue = dict.fromkeys(map(str, State), 0)
    clocks: Mapping[str, str] = {}
    copies: Mapping[str, Record] = {}
    changes: Sequence[Record] = []
    holds: Sequence[Record] = []
    aside: Sequence[Record] = []
    targets: Sequence[Record] = []
    strays: Sequence[accounts.Stray] = []
    if path.exists() and path.stat().st_size:
        with app.query(settings) as conn:
            schema = revision.current(conn)
            elsewhere = home.elsewhere(conn, home.place_of(path))
            jobs = status_queries.jobs(conn)
            facts = coverage.load(conn, proof.wanted(specs, now))
            queue = status_queries.queue_counts(conn)
            changes = status_queries.list_changes(conn)
            holds = status_queries.list_holds(conn)
            aside = status_queries.set_aside_counts(conn)
            clocks = received.clocks(conn)
            callbacks = _callbacks(conn, settings, now)
            targets = outbox.overview(conn)
            copies = publish_queries.overview(conn)
            strays = accounts.strays(conn, {account.label for account in settings.accounts})
    return {
        "database": str(path),
        "schema": schema,
        "elsewhere": elsewhere,
        "daemon": _daemon(settings),
        "jobs": [
            _job(spec, jobs.get((spec.job, spec.account), {}))
            | evidence.of_job(facts.get((spec.job, spec.account), coverage.Facts()))
            for spec in specs
            if spec.enabled
        ],
        "queue": queue,
        "conflicts": queue[State.CONFLICT],
        "rejected": queue[State.REJECTED],
        "held_deletes": queue[State.HELD],
        "waiting": [status_queries.queue_columns(one) for one in changes if one["state"] in WAITING],
        "held": holds,
        "clocks": {one.label: clocks.get(one.name, "unknown") for one in settings.telecmi},
        "quiescence_violations": sum(one.quiescence_violations for one in facts.values()),
        "set_aside": sum(row["rows"] for row in aside),
        "set_aside_by_job": aside,
        "unknown_accounts": [
            {"account": one.label, "counts": dict(one.counts), "problem": str(one), "advice": one.advice}
            for one in strays
        ],
        "callbacks": callbacks,
        "outbox": targets,
        "publish": {
            target.name: copies.get(target.name, _NOT_PUBLISHED) for target in settings.of(PublishTarget)
        },
    }


def _callbacks(conn: Reader, settings: Settings, now: datetime) -> dict[str, Any] | None:
    """How many wait for a call back, and whether that can be trusted. None if no calls are pulled."""
    from syncer.store.read import call_queries

    found = proof.callback_proof(conn, settings, now)
    if found is None:
        return None
    number, oldest = call_queries.open_callbacks(conn)
    return {
        "open": number,
        "oldest_at": oldest,
        "verified_to": found.verified_to,
        "trusted": not found.doubts,
        "doubts": list(found.doubts),
    }


def _daemon(settings: Settings) -> dict[str, Any] | None:
    """The `pid` of the running daemon, and `since` when it runs. None if there is none."""
    from syncer.locks import DAEMON, Locks

    signed = Locks(settings.database.path, "syncer status").held_by(DAEMON)
    if signed is None:
        return None
    match = _SIGNED.search(signed)
    pid, since = (int(match[1]), f"{match[2]}T{match[3]}.000Z") if match else (None, None)
    return {"pid": pid, "since": since}


def _job(spec: JobSpec, row: dict[str, Any]) -> dict[str, Any]:
    """A job with its columns of `sync_health` and of its last run, if it has run."""
    head = {"job": spec.job, "account": spec.account, "every_s": int(spec.every.total_seconds())}
    known = {name: row.get(name) for name in HEALTH}
    return head | known | {"stale": row.get("stale") != 0, "failures": row.get("failures", 0)}


# -- for people ----------------------------------------------------------------------------------------


def _show(found: dict[str, Any], now: datetime, *, with_evidence: bool) -> None:
    _show_database(found, now)
    say()
    _show_jobs(found, now, with_evidence=with_evidence)
    say()
    _show_waiting(found, now)
    _show_decisions(found)


def _show_database(found: dict[str, Any], now: datetime) -> None:
    if found["schema"] is None:
        say_folded(
            f"The database {found['database']} does not exist yet: `syncer sync` creates and fills it."
        )
    else:
        say_folded(f"The database {found['database']}, schema {found['schema']}.")
    if found["elsewhere"]:
        say_folded(f"Note: {found['elsewhere']}.")
    if (daemon := found["daemon"]) is None:
        say_folded("No daemon is running: `syncer run`, or `systemctl start syncer`.")
    else:
        started = when(daemon["since"], now)
        say_folded(f"A daemon is running: process {daemon['pid'] or 'unknown'}, started {started}.")


def _show_jobs(found: dict[str, Any], now: datetime, *, with_evidence: bool) -> None:
    show_table(
        ("job", "account", "state", "last success", "every", "outcome", "listing"),
        (
            (
                job["job"],
                job["account"],
                "never" if job["age_s"] is None else "stale" if job["stale"] else "fresh",
                when(job["last_ok_at"], now),
                span(job["every_s"]),
                job["outcome"],
                evidence.verdict(job["listing"]),
            )
            for job in found["jobs"]
        ),
    )
    for job in found["jobs"]:
        for line in (*_trouble(job, now), *evidence.lines(job, now, everything=with_evidence)):
            say_folded(f"  {job['job']} of {job['account']}: {line}")


def _show_waiting(found: dict[str, Any], now: datetime) -> None:
    """The queue, callbacks, notifications and published copies, a line each."""
    depth = [f"{number} {state}" for state, number in found["queue"].items() if state != "done" and number]
    say_folded(f"Queue: {', '.join(depth) or 'nothing waits'}; {found['queue']['done']} done.")
    for change in found["waiting"]:
        say_folded(f"  {_waiting(change)}")
    if (waiting := found["callbacks"]) is not None:
        say_folded(_waiting_callers(waiting, now))
    for target in found["outbox"]:
        say_folded(_outbox(target, now))
    for name, copy in found["publish"].items():
        say_folded(_published(name, copy, now))


def _show_decisions(found: dict[str, Any]) -> None:
    """Holds, rows set aside and unknown accounts: a paragraph each."""
    for hold in found["held"]:
        number = hold["id"]
        say()
        say_folded(
            f"Held {number}: {hold['job']} of {hold['account']}, {count(hold['rows'], 'row')}: {hold['reason']}"
        )
        say_folded(f"  `syncer held show {number}`, then `syncer held approve {number}` or `reject {number}`")
    for aside in found["set_aside_by_job"]:
        say()
        say_folded(
            f"{aside['job']} of {aside['account']}: {count(aside['rows'], 'row')} could not be understood, see the "
            f"table set_aside ({aside['reason']})."
        )
    for stray in found["unknown_accounts"]:
        say()
        say(f"{stray['problem']}:")
        say(f"  {stray['advice']}.")


def _trouble(job: dict[str, Any], now: datetime) -> Iterator[str]:
    """What is wrong with a job."""
    if job["age_s"] is not None and _is_ahead(job["age_s"]):
        yield "its last success is dated in the future, by a clock that was wrong; the next run corrects it"
    if job["outcome"] not in (None, "ok"):
        times = f", {count(job['failures'], 'time')} in a row" if job["failures"] > 1 else ""
        yield f"{job['outcome']}{times}: {job['error'] or 'no reason was recorded'}"
    if job["paused_until"]:
        yield f"pauses until {when(job['paused_until'], now)}; `syncer sync {job['job']}` tries it now"


def _outbox(target: dict[str, Any], now: datetime) -> str:
    """What waits for a target of notifications, was sent, and was given up."""
    text = f"Notifications to {target['target']}: "
    if target["queued"]:
        text += f"{target['queued']} wait{'s' if target['queued'] == 1 else ''} since {when(target['oldest_at'], now)}"
        text += f" ({target['last_error']})" if target["last_error"] else ""
    else:
        text += "none wait"
    if target["last_sent_at"]:
        text += f"; the last one was sent {when(target['last_sent_at'], now)}"
    if target["dead"]:
        text += f"; {target['dead']} given up (`syncer notify retry {target['target']}`)"
    return f"{text}."


def _published(name: str, copy: dict[str, Any], now: datetime) -> str:
    """How far behind a published copy is."""
    if copy["published_at"] is None:
        return f"Published copy {name}: nothing was published yet (`syncer publish {name}`)."
    text = f"Published copy {name}: "
    text += f"{span(copy['lag_s'])} behind" if copy["lag_s"] else "up to date"
    return f"{text}; it last changed {when(copy['published_at'], now)}."


def _waiting_callers(known: dict[str, Any], now: datetime) -> str:
    found = proof.CallbackProof(known["verified_to"], tuple(known["doubts"]))
    head = f"Callbacks: {known['open']} open"
    if known["open"]:
        head += f", the first since {when(known['oldest_at'], now)} (`syncer callbacks list`)"
    return f"{head}. {evidence.proof_sentence(found, known['open'], now)}"


def _waiting(change: dict[str, Any]) -> str:
    """A change that waits for a person, with the commands that settle it."""
    number, why = change["id"], f" ({change['last_error']})" if change["last_error"] else ""
    commands = WAITING[change["state"]].replace("N", str(number))
    return f"change {number}, {change['state']}: {change['operation']} of contact row {change['contact_row']}{why}: {commands}"
