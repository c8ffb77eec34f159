"""The record of one run of one job: begun, counted, ended with an outcome that says what it proved.

Errors become outcomes here; what a run does is left to the modules of each resource.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from syncer.core.listing import Certificate, worst
from syncer.core.model import Proof
from syncer.errors import AuthError, BadAnswerError, RemoteError, StoreError, SyncerError
from syncer.remote.client import ApiClient, counted
from syncer.store.read import feed
from syncer.store.write import callbacks, runs
from syncer.store.write.forget import keeper
from syncer.store.write.runs import JobState
from syncer.sync.env import Env


@dataclass(slots=True)
class Run:
    """One run of one job, while it is under way and after."""

    env: Env
    job: str
    account: str
    api: ApiClient | None  #: None: it is not reached by HTTP
    full: bool = False  #: a person asked for everything to be read again
    person: bool = False  #: asked for by a person, not by the schedule
    id: int = 0
    at: str = ""  #: when it began
    state: JobState = field(default_factory=JobState)
    seen: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    raw_only: int = 0  #: rows of which only values that `change_log` leaves out were stored
    outcome: str = "ok"
    error: SyncerError | None = None
    problem: str = ""  #: why it is not `ok`, in words
    held: int | None = None  #: the number of the hold that it left open
    listings: dict[str, Certificate] = field(default_factory=dict)  #: by table: what each list proved
    is_full: bool = True  #: its lists were asked for whole, none of them as an increment
    plan: list[str] = field(default_factory=list)  #: what a push would send
    notices: list[str] = field(default_factory=list)  #: worth telling a person, no failure
    requests: int = 0
    windowed: bool = False  #: it read a part of what upstream has, however whole
    is_unproven: bool = False  #: it is not `ok` for another reason than a hold
    set_aside: set[str] = field(default_factory=set)  #: digests of rows that could not be understood
    unanswered: set[str] = field(default_factory=set)  #: tables of which no row was answered for by its id
    log_seq: int = 0  #: the newest entry of the log when it began

    @property
    def log(self) -> Any:
        """A logger that says which job and account."""
        return self.env.log.bind(job=self.job, account=self.account)

    def client(self) -> ApiClient:
        """The client of its account, for jobs that read lists."""
        assert self.api is not None
        return self.api

    def incomplete(self, why: str, *, held: bool = False) -> None:
        """The run did what it could and proves less than it should; `held`: a person has to look first."""
        self.is_unproven = self.is_unproven or not held
        if self.outcome == "ok":
            self.outcome = "incomplete"
        self.problem = f"{self.problem}; {why}" if self.problem else why

    @property
    def certificate(self) -> Certificate | None:
        """That of its lists which proves least."""
        return worst(self.listings.values())

    def judge(self, table: str, certificate: Certificate, *, whole: bool = True) -> None:
        """Take over what a listing proved."""
        self.listings[table] = certificate
        self.is_full = self.is_full and whole
        if certificate.verdict is Proof.PARTIAL:
            self.incomplete(certificate.reason)

    def notice(self, text: str) -> None:
        """Say something once to a person and to the log."""
        self.notices.append(text)
        self.log.warning("notice", text=text)

    def fail(self, error: SyncerError) -> None:
        """An error of ours ended the run: it decides on the outcome."""
        partly = isinstance(error, BadAnswerError) or (self.seen and not isinstance(error, AuthError))
        self.outcome = "incomplete" if isinstance(error, RemoteError) and partly else "failed"
        self.error, self.problem = error, str(error)


async def perform(run: Run, body: Callable[[Run], Awaitable[None]]) -> Run:
    """Open the record, do the work, close the record. Errors of ours end in it and go no further."""
    env = run.env
    outer = counted.set([0])
    try:
        try:
            run.at = env.stamp()
            env.forgotten = await env.store.call(lambda: keeper(env.store.db))
            await env.store.write(_begin, run)
            await body(run)
        except SyncerError as error:
            run.fail(error)
        except BaseException:
            run.outcome, run.problem = "failed", "the run was stopped"
            raise
        finally:
            await _close(run)
    finally:
        counted.reset(outer)
    return run


async def _close(run: Run) -> None:
    run.requests = sum(counted.get() or ())
    if not run.id:
        return
    try:
        await run.env.store.write(_end, run)
        await run.env.store.call(run.env.store.db.relax)
    except StoreError as error:
        run.fail(error)


def _begin(conn: Any, run: Run) -> None:
    callbacks.read_marks(conn, callbacks.unread_marks(conn, run.env.settings.regions))
    runs.close_broken_runs(conn, run.job, run.account, run.at)
    run.id = runs.start_run(conn, run.job, run.account, run.at)
    run.state = runs.load_job(conn, run.job, run.account)
    run.log_seq = feed.last_seq(conn)


def _end(conn: Any, run: Run) -> None:
    at = run.env.stamp()
    state = run.state
    if run.outcome == "ok":
        state.last_ok_at, state.failures, state.paused_until = at, 0, None
        if run.is_full and (run.certificate is None or run.certificate.complete):
            state.last_complete_at = at  # an increment proves no absence
    else:
        state.failures += 1
    proven = run.outcome == "ok" and run.is_full and bool(run.certificate and run.certificate.complete)
    runs.drop_set_aside(conn, run.job, run.account, run.set_aside if proven and not run.windowed else None)
    runs.save_job(conn, run.job, run.account, state)
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


def _evidence(run: Run) -> str | None:
    """The certificate that proves least, and next to it those of all lists where there are several."""
    if run.certificate is None:
        return None
    found = run.certificate.evidence() | {"whole": run.is_full}
    if len(run.listings) > 1:
        found["lists"] = {table: one.evidence() for table, one in run.listings.items()}
    return json.dumps(found)
