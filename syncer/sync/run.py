"""The record of one run of one job: its start, its counts, and its outcome.

Errors become outcomes here. The modules of the resources do the work.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from syncer.core.listing import Certificate, worst
from syncer.core.model import Proof
from syncer.errors import AuthError, BadAnswerError, RemoteError, StoreError, SyncerError
from syncer.remote.client import ApiClient, request_counter
from syncer.store.read import feed
from syncer.store.write import callbacks, runs
from syncer.store.write.runs import JobState
from syncer.sync.env import Env


@dataclass(slots=True)
class Run:
    """One run of one job, during and after it."""

    env: Env
    job: str
    account: str
    api: ApiClient | None  #: None: it does not use HTTP
    full: bool = False  #: a person asked for a full read
    person: bool = False  #: started by a person, not by the schedule
    id: int = 0
    at: str = ""  #: when it started
    state: JobState = field(default_factory=JobState)
    seen: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    raw_only: int = 0  #: rows of which only values that are not logged were stored
    outcome: str = "ok"
    error: SyncerError | None = None
    problem: str = ""  #: why it is not `ok`, in words
    held: int | None = None  #: the id of the hold that it left open
    listings: dict[str, Certificate] = field(default_factory=dict)  #: by table: what each list proved
    is_full: bool = True  #: all of its lists were read fully, none as an increment
    plan: list[str] = field(default_factory=list)  #: what a push would send
    notices: list[str] = field(default_factory=list)  #: for people, not failures
    requests: int = 0
    seconds: float | None = None  #: how long it took, after its end is stored
    windowed: bool = False  #: it read only time windows of what upstream has
    is_unproven: bool = False  #: it is not `ok`, for a reason other than a hold
    set_aside: set[str] = field(default_factory=set)  #: digests of rows that could not be parsed
    unanswered: set[str] = field(default_factory=set)  #: tables for which no request by id was answered
    drop_idle: bool = (
        False  #: it runs often: of consecutive runs without anything to do, only the newest is kept
    )
    log_seq: int = 0  #: the newest entry of the change log when it started

    @property
    def log(self) -> Any:
        """A logger with the job and account."""
        return self.env.log.bind(job=self.job, account=self.account)

    def client(self) -> ApiClient:
        """The client of its account, for jobs that read lists."""
        assert self.api is not None
        return self.api

    def incomplete(self, why: str, *, held: bool = False) -> None:
        """The run is incomplete; `held`: because a person has to decide first."""
        self.is_unproven = self.is_unproven or not held
        if self.outcome == "ok":
            self.outcome = "incomplete"
        self.problem = f"{self.problem}; {why}" if self.problem else why

    @property
    def certificate(self) -> Certificate | None:
        """The certificate that proves least."""
        return worst(self.listings.values())

    def add_listing(self, table: str, certificate: Certificate, *, is_full: bool) -> None:
        """Add a listing's certificate. `is_full`: it was read fully, not as an increment."""
        self.listings[table] = certificate
        self.is_full = self.is_full and is_full
        if certificate.verdict is Proof.PARTIAL:
            self.incomplete(certificate.reason)

    def notice(self, text: str) -> None:
        """Tell people something that is not a failure, and log it."""
        self.notices.append(text)
        self.log.warning("notice", text=text)

    def fail(self, error: SyncerError) -> None:
        """Set the outcome from the error that ended the run."""
        partly = isinstance(error, BadAnswerError) or (self.seen and not isinstance(error, AuthError))
        self.outcome = "incomplete" if isinstance(error, RemoteError) and partly else "failed"
        self.error, self.problem = error, str(error)


async def perform(run: Run, work: Callable[[Run], Awaitable[None]]) -> None:
    """Record the start, do the work, record the end. Our own errors are recorded and not raised."""
    env = run.env
    token = request_counter.set([0])
    try:
        run.at = env.stamp()
        await env.store.read(env.forgotten.among, ())  # a lost key ends the run before it begins
        await env.store.write(_begin, run)
        await work(run)
    except SyncerError as error:
        run.fail(error)
    except BaseException:
        run.outcome, run.problem = "failed", "the run was stopped"
        raise
    finally:
        await _close(run)
        request_counter.reset(token)


async def _close(run: Run) -> None:
    run.requests = sum(request_counter.get() or ())
    if not run.id:
        return
    try:
        ended = await run.env.store.write(_end, run)
        run.seconds = (datetime.fromisoformat(ended) - datetime.fromisoformat(run.at)).total_seconds()
        await run.env.store.call(run.env.store.db.relax)
    except StoreError as error:
        run.fail(error)


def _begin(conn: Any, run: Run) -> None:
    callbacks.read_marks(conn, callbacks.unread_marks(conn, run.env.settings.regions))
    runs.close_broken_runs(conn, run.job, run.account, run.at)
    run.id = runs.start_run(conn, run.job, run.account, run.at)
    run.state = runs.load_job(conn, run.job, run.account)
    run.log_seq = feed.last_seq(conn)


def _end(conn: Any, run: Run) -> str:
    """Store the end, and return when it was."""
    at = run.env.stamp()
    state = run.state
    if run.outcome == "ok":
        state.last_ok_at, state.failures, state.paused_until = at, 0, None
        if run.is_full and (run.certificate is None or run.certificate.complete):
            state.last_complete_at = at  # an increment does not prove absence
    else:
        state.failures += 1
    proven = run.outcome == "ok" and run.is_full and bool(run.certificate and run.certificate.complete)
    runs.drop_set_aside(conn, run.job, run.account, run.set_aside if proven and not run.windowed else None)
    runs.save_job(conn, run.job, run.account, state)
    if run.drop_idle and run.outcome == "ok" and not (run.seen or run.changed or run.removed):
        runs.drop_idle_run(conn, run.job, run.account, run.id)
    runs.finish_run(
        conn,
        run.id,
        at,
        outcome=run.outcome,
        requests=run.requests,
        seen=run.seen,
        added=run.added,
        changed=run.changed,
        removed=run.removed,
        error=run.problem or None,
        listing=_evidence(run),
    )
    return at


def _evidence(run: Run) -> str | None:
    """The certificate that proves least and, if there are several lists, those of all lists."""
    if run.certificate is None:
        return None
    found = asdict(run.certificate) | {"whole": run.is_full}
    if len(run.listings) > 1:
        found["lists"] = {table: asdict(one) for table, one in run.listings.items()}
    return json.dumps(found)
