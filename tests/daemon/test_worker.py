"""One worker at a time: woken, locked out, failing, refused, hanging, and hit by a bug."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from syncer.config import TelecmiAccount
from syncer.daemon.worker import SharedLogin, Worker, WorkerContext
from syncer.errors import AuthError, PermissionDeniedError, StoreError, SyncerError, TransientError
from syncer.locks import Locks
from syncer.logs import Edges
from syncer.sync.registry import RESOURCES, JobSpec
from syncer.sync.run import Run
from tests.daemon.timeless import Log

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


class Stage:
    """A worker's context, its alarm included, with time moved by hand."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.ticks = 0.0
        self.log = Log()
        self.alarms: dict[str, float] = {}
        self.paused: dict[str, float] = {}
        self.finished = 0
        self.locks = Locks(folder / "t.db", "a test")
        self.context = WorkerContext(
            locks=self.locks,
            edges=Edges(),
            log=self.log,
            mono=lambda: self.ticks,
            now=lambda: NOW,
            rand=lambda: 0.0,
            reschedule=self._reschedule,
            finished=self._finished,
            save_pause=self._save,
            lock_step=0.05,
            **more,
        )
        self.tasks: list[asyncio.Task[None]] = []

    def worker(
        self,
        run: Callable[[], Awaitable[Run]],
        *,
        job: str = "telecmi-push",
        credentials: SharedLogin | None = None,
        every: float = 30.0,
    ) -> Worker:
        resource = next(one for one in RESOURCES if one.job == job)
        settings = replace(getattr(TelecmiAccount(), resource.section), every=timedelta(seconds=every))
        spec = JobSpec(resource, replace(TelecmiAccount(name="main"), **{resource.section: settings}))
        made = Worker(
            spec,
            self.context,
            run_job=run,
            deadline=_no_deadline,
            credentials=credentials or SharedLogin("login"),
        )
        self.tasks.append(asyncio.create_task(made.work()))
        return made

    def _reschedule(self, name: str, seconds: float) -> None:
        self.alarms[name] = seconds

    async def _finished(self, worker: Worker) -> None:
        self.finished += 1

    async def _save(self, specs: list[JobSpec], seconds: float) -> None:
        self.paused |= {spec.job: seconds for spec in specs}

    async def run(self, worker: Worker) -> None:
        """Wake a worker, and wait for the end of its run."""
        before = self.finished
        await worker.wake()
        await self.until(lambda: self.finished > before)

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not true():
                await asyncio.sleep(0.005)

    async def settle(self) -> None:
        """Let everything that can go on go on."""
        for _ in range(20):
            await asyncio.sleep(0.002)


@asynccontextmanager
async def _no_deadline(seconds: float) -> Any:
    yield


@pytest.fixture
async def stage(tmp_path: Path) -> Any:
    made = Stage(tmp_path, limits=(0.4, 0.2))
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.wait(made.tasks)


def run_of(error: SyncerError | None = None, outcome: str = "ok", **counts: int) -> Run:
    made = Run(cast(Any, None), "telecmi-push", "main", cast(Any, None), **counts)
    made.error, made.outcome = error, outcome
    made.problem = str(error) if error else ("" if outcome == "ok" else "held for a person")
    return made


class Script:
    """Runs that end as written; the last end repeats. `gate` holds them up."""

    def __init__(self, *ends: Run | Exception) -> None:
        self.ends = list(ends) or [run_of()]
        self.calls = 0
        self.at_once = 0
        self.most_at_once = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> Run:
        self.calls += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        end = self.ends.pop(0) if len(self.ends) > 1 else self.ends[0]
        if isinstance(end, Exception):
            raise end
        return end


async def test_it_runs_when_woken_and_rests_for_the_rest_of_its_every(stage: Stage) -> None:
    script = Script()
    worker = stage.worker(script)
    await stage.settle()
    assert script.calls == 0
    await stage.run(worker)
    assert script.calls == 1
    assert stage.alarms == {"telecmi-push.main": 30.0}


async def test_an_alarm_during_a_run_is_not_another_run(stage: Stage) -> None:
    script = Script()
    script.gate.clear()
    worker = stage.worker(script)
    await worker.wake()
    await stage.until(lambda: script.calls)
    for _ in range(100):
        await worker.wake()
    script.gate.set()
    await stage.settle()
    assert script.calls == 1


async def test_edits_during_a_push_are_one_push_right_after(stage: Stage) -> None:
    script = Script()
    script.gate.clear()
    worker = stage.worker(script)
    worker.request()
    await stage.until(lambda: script.calls)
    for _ in range(100):
        worker.request()
    script.gate.set()
    await stage.until(lambda: script.calls == 2)
    await stage.settle()
    assert script.calls == 2
    assert script.most_at_once == 1


async def test_a_lock_that_another_process_holds_is_waited_for(stage: Stage) -> None:
    script = Script()
    worker = stage.worker(script)
    handle = stage.locks.try_acquire("telecmi-push.main")
    assert handle is not None
    await worker.wake()
    await asyncio.sleep(0.2)
    assert script.calls == 0
    assert not worker.late  # waiting for somebody else is no hang
    stage.locks.release(handle)
    await stage.until(lambda: script.calls)
    await stage.settle()
    assert stage.locks.held_by("telecmi-push.main") is None


async def test_a_failure_and_its_recovery_are_each_reported_once(stage: Stage) -> None:
    down = TransientError("telecmi.main", "/v3/contact/get", "no connection; nothing was sent")
    script = Script(*[run_of(down, "failed")] * 4, run_of())
    worker = stage.worker(script)
    rests = []
    for _ in range(5):
        await stage.run(worker)
        rests.append(stage.alarms["telecmi-push.main"])
        stage.ticks += 1000
    assert rests == [30, 60, 120, 120, 30]
    assert stage.log.at("warning") == ["failing"]
    assert stage.log.at("info") == ["recovered"]
    assert worker.problem == ""


async def test_an_edit_waits_a_little_for_a_push_that_fails(stage: Stage) -> None:
    down = TransientError("telecmi.main", "/v3/contact/get", "no connection; nothing was sent")
    script = Script(run_of(down, "failed"))
    worker = stage.worker(script)
    worker.request()
    await stage.until(lambda: stage.finished == 1)
    worker.request()
    await stage.settle()
    assert script.calls == 1
    assert stage.alarms["telecmi-push.main"] == 5.0  # not the 30 s of its back-off
    stage.ticks += 5
    worker.request()
    await stage.until(lambda: script.calls == 2)


async def test_what_a_person_has_to_decide_does_not_slow_a_job_down(stage: Stage) -> None:
    script = Script(run_of(outcome="incomplete"))
    worker = stage.worker(script)
    for _ in range(3):
        await stage.run(worker)
        assert stage.alarms["telecmi-push.main"] == 30.0
    assert stage.log.at("warning") == ["incomplete"]


async def test_refused_credentials_pause_every_job_of_the_login_and_are_reported_once(stage: Stage) -> None:
    refusal = AuthError("telecmi.main", "/v2/user/login", "the login was refused")
    shared = SharedLogin("telecmi.main login")
    pull, push = Script(run_of(refusal, "failed")), Script(run_of())
    puller = stage.worker(pull, job="telecmi-contacts", credentials=shared)
    pusher = stage.worker(push, credentials=shared)
    await stage.run(puller)
    assert stage.alarms == {"telecmi-contacts.main": 900.0, "telecmi-push.main": 900.0}
    assert stage.paused == {"telecmi-contacts": 900.0, "telecmi-push": 900.0}
    pusher.request()
    await stage.settle()
    assert push.calls == 0  # not for an edit either
    stage.ticks += 901
    stage.paused.clear()
    pusher.request()
    await stage.until(lambda: push.calls == 1)  # nothing to send, so nobody was asked, and nothing proven
    await stage.run(puller)
    assert stage.alarms["telecmi-contacts.main"] == 1800.0
    assert [event[:27] for event in stage.log.at("warning")] == ["the credentials were refused"[:27]]
    stage.ticks += 1801
    stage.paused.clear()
    pull.ends = [run_of()]
    await stage.run(puller)
    assert stage.log.at("info") == ["the credentials are accepted again"]


async def test_a_call_that_is_not_permitted_pauses_no_other_job(stage: Stage) -> None:
    denied = PermissionDeniedError("telecmi.main", "/v2/user/contact/get", "the token lacks the permission")
    shared = SharedLogin("telecmi.main login")
    puller = stage.worker(Script(run_of(denied, "failed")), job="telecmi-user-contacts", credentials=shared)
    push = Script(run_of())
    pusher = stage.worker(push, credentials=shared)
    await stage.run(puller)
    assert stage.paused == {} and "telecmi-push.main" not in stage.alarms
    pusher.request()
    await stage.until(lambda: push.calls == 1)


async def test_jobs_refused_at_the_same_time_are_one_refusal(stage: Stage) -> None:
    refusal = AuthError("telecmi.main", "/v2/user/login", "the login was refused")
    shared = SharedLogin("telecmi.main login")
    scripts = [Script(run_of(refusal, "failed")) for _ in range(3)]
    for script, job in zip(
        scripts, ("telecmi-contacts", "telecmi-user-contacts", "telecmi-push"), strict=True
    ):
        script.gate.clear()
        worker = stage.worker(script, job=job, credentials=shared)
        await worker.wake()
    await stage.until(lambda: all(script.calls for script in scripts))
    for script in scripts:
        script.gate.set()
    await stage.until(lambda: stage.finished == 3)
    assert set(stage.alarms.values()) == {900.0}


async def test_a_lockout_is_waited_for(stage: Stage) -> None:
    until = NOW + timedelta(minutes=40)
    refusal = AuthError("smartflo.main", "/v1/auth/login", "locked", locked_until=until)
    worker = stage.worker(Script(run_of(refusal, "failed")))
    await stage.run(worker)
    assert stage.alarms["telecmi-push.main"] == 2405.0


async def test_a_persons_sync_that_succeeds_ends_the_pause(stage: Stage) -> None:
    refusal = AuthError("telecmi.main", "/v2/user/login", "the login was refused")
    script = Script(run_of(refusal, "failed"), run_of(seen=1))
    worker = stage.worker(script)
    await stage.run(worker)
    assert worker.paused
    stage.paused.clear()  # as a run of ours that ends well does
    worker.resume()
    await stage.until(lambda: stage.finished == 2)
    assert not worker.paused


async def test_a_bug_ends_the_run_loudly_once_and_the_worker_goes_on(stage: Stage) -> None:
    script = Script(TypeError("no"), TypeError("no"), AssertionError("neither"), run_of())
    worker = stage.worker(script)
    for _ in range(4):
        await stage.run(worker)
        stage.ticks += 1000
    assert script.calls == 4
    assert len(stage.log.at("exception")) == 2  # one a kind
    assert worker.problem == ""
    assert stage.locks.held_by("telecmi-push.main") is None


async def test_a_timeout_that_is_not_ours_is_a_bug(stage: Stage) -> None:
    worker = stage.worker(Script(TimeoutError()))
    await stage.run(worker)
    assert "bug" in worker.problem


async def test_a_run_that_hangs_is_ended_and_its_lock_is_free(stage: Stage) -> None:
    """Rows 21 and 22: a job that hangs is one alert, not the end of its schedule."""
    script = Script()
    script.gate.clear()
    worker = stage.worker(script)
    await stage.run(worker)
    assert stage.log.at("warning") == ["failing"]
    assert "no progress" in worker.problem
    assert stage.locks.held_by("telecmi-push.main") is None
    script.gate.set()
    stage.ticks += 1000
    await stage.run(worker)
    assert worker.problem == ""


async def test_progress_prolongs_a_run_but_not_for_ever(stage: Stage) -> None:
    script = Script()
    script.gate.clear()
    worker = stage.worker(script, job="telecmi-contacts")
    await worker.wake()
    await stage.until(lambda: script.calls)
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not stage.finished:
        worker.progress()
        await asyncio.sleep(0.02)
    assert 0.35 < loop.time() - began < 1.0


async def test_a_run_that_will_not_end_is_late(tmp_path: Path) -> None:
    stage = Stage(tmp_path, limits=(0.05, 0.05), late=0.05)
    ended = asyncio.Event()

    async def stubborn() -> Run:
        while not ended.is_set():
            try:
                await ended.wait()
            except asyncio.CancelledError:
                continue
        return run_of()

    worker = stage.worker(stubborn)
    await worker.wake()
    assert not worker.late
    await stage.until(lambda: worker.late)
    ended.set()
    await stage.until(lambda: not worker.late)
    for task in stage.tasks:
        task.cancel()
    await asyncio.wait(stage.tasks)


async def test_a_database_in_trouble_is_no_end_of_the_worker(stage: Stage) -> None:
    script = Script(StoreError("the disk that holds the database is full"), run_of())
    worker = stage.worker(script)
    await stage.run(worker)
    assert worker.problem == "the disk that holds the database is full"
    stage.ticks += 1000
    await stage.run(worker)
    assert worker.problem == ""


async def test_only_a_run_that_changed_something_is_worth_a_line(stage: Stage) -> None:
    worker = stage.worker(Script(run_of(), run_of(added=2)))
    for _ in range(2):
        await stage.run(worker)
    assert stage.log.at("debug") == ["run finished"]
    assert stage.log.at("info") == ["run finished"]
