"""The metrics in Prometheus' format.

Each scrape has its own registry: nothing is kept between scrapes, and the libraries' own metrics are not shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from syncer import __version__
from syncer.core.audio import AudioState
from syncer.core.model import State
from syncer.store.read.metric_queries import Figures, Totals


@dataclass(frozen=True, slots=True)
class Live:
    """Values that only the running daemon knows."""

    started: float  #: epoch seconds
    spent: dict[tuple[str, str], tuple[int, float]]  #: (provider, account) -> requests, seconds of waiting
    sizes: Sequence[tuple[str, str, float]]  #: metric, description, bytes
    last_backup: float | None  #: epoch seconds; None: there is no backup
    backups: bool  #: whether they are enabled


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        """What was gathered before."""
        return self._families


def render(figures: Figures, totals: Totals, live: Live) -> bytes:
    """The whole page, in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families([*_jobs(figures, totals), *_queue(figures), *_audio(figures), *_live(live)]))
    return generate_latest(registry)


def _gauge(name: str, text: str, labels: Sequence[str] = ()) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"syncer_{name}", text, labels=labels)


def _counter(name: str, text: str, labels: Sequence[str]) -> CounterMetricFamily:
    return CounterMetricFamily(f"syncer_{name}", text, labels=labels)


def _jobs(figures: Figures, totals: Totals) -> Iterator[Metric]:
    who = ("job", "account")
    success = _gauge("last_success_timestamp_seconds", "When the job last succeeded; 0: never", who)
    every = _gauge("job_every_seconds", "How often the job is due", who)
    stale = _gauge("job_stale", "1 when the job has not succeeded for three times its every", who)
    failures = _gauge("job_failures", "Consecutive runs that did not succeed", who)
    paused = _gauge("job_paused", "1 while the job pauses after refused credentials", who)
    duration = _gauge("run_duration_seconds", "How long the last run took", who)
    for job in figures.jobs:
        key = (job.job, job.account)
        success.add_metric(key, job.last_ok or 0)
        every.add_metric(key, job.every_s)
        stale.add_metric(key, job.stale)
        failures.add_metric(key, job.failures)
        paused.add_metric(key, job.paused)
        if key in totals.last:
            duration.add_metric(key, totals.last[key][1])
    yield from (success, every, stale, failures, paused, duration)

    enabled = {(job.job, job.account) for job in figures.jobs}
    ended = _counter("runs", "Runs that ended, by outcome", (*who, "outcome"))
    for (job_name, account, outcome), count in sorted(totals.outcomes.items()):
        if (job_name, account) in enabled:
            ended.add_metric((job_name, account, outcome), count)
    rows = _counter("rows", "Rows that runs have seen, added, changed, removed", (*who, "kind"))
    for job in figures.jobs:
        sums = totals.sums.get((job.job, job.account), {})
        for kind in ("seen", "added", "changed", "removed"):
            rows.add_metric((job.job, job.account, kind), sums.get(kind, 0))
    yield from (ended, rows)

    held = _gauge("held", "Rows that a safety limit holds for a person", who)
    for key, count in figures.held.items():
        held.add_metric(key, count)
    aside = _gauge("set_aside_rows", "Rows from the vendor that could not be understood", who)
    for key, count in figures.set_aside.items():
        aside.add_metric(key, count)
    restless = _gauge("quiescence_violations", "Runs that wrote although nothing had changed", who)
    for key, count in figures.violations.items():
        restless.add_metric(key, count)
    yield from (held, aside, restless)


def _queue(figures: Figures) -> Iterator[Metric]:
    changes = _gauge("queue_changes", "Changes in the queue, by state", ("account", "state"))
    conflicts = _gauge(
        "conflicts", "Changes that wait for a person: both sides changed a field", ("account",)
    )
    for (account, state), count in figures.queue.items():
        changes.add_metric((account, state), count)
        if state == State.CONFLICT:
            conflicts.add_metric((account,), count)
    oldest = _gauge("queue_oldest_seconds", "Age of the oldest change still to be sent", ("account",))
    for account, age in figures.oldest.items():
        oldest.add_metric((account,), age)
    yield from (changes, conflicts, oldest)
    waiting, since = figures.callbacks
    yield GaugeMetricFamily("syncer_callbacks_open", "Numbers that wait for a call back", value=waiting)
    outbox = _gauge("outbox", "Notifications, by target and state", ("target", "state"))
    for target, states in figures.outbox.items():
        for state_name, number in states.items():
            outbox.add_metric((target, state_name), number)
    yield outbox
    lag = _gauge("publish_lag_seconds", "Age of the oldest change that a published copy lacks", ("target",))
    for target, age in figures.publish_lags.items():
        lag.add_metric((target,), age)
    yield lag
    text = "How long the first of them has waited"
    yield GaugeMetricFamily("syncer_callback_oldest_seconds", text, value=since)


def _audio(figures: Figures) -> Iterator[Metric]:
    states = _gauge("voicemail_audio", "Recordings of voicemails, by state", ("account", "state"))
    sizes = _gauge("voicemail_audio_bytes", "Size of the recordings that are kept", ("account",))
    for (account, state), (count, size) in figures.audio.items():
        states.add_metric((account, state), count)
        if state == AudioState.KEPT:
            sizes.add_metric((account,), size)
    yield from (states, sizes)


def _live(live: Live) -> Iterator[Metric]:
    who = ("provider", "account")
    calls = _counter("requests", "Requests to the vendor by this daemon, repeated ones too", who)
    waits = _counter("budget_wait_seconds", "Time spent waiting for the request budget", who)
    for key, (requests, seconds) in live.spent.items():
        calls.add_metric(key, requests)
        waits.add_metric(key, seconds)
    yield from (calls, waits)
    for name, text, size in live.sizes:
        yield GaugeMetricFamily(f"syncer_{name}", text, value=size)
    if live.backups:
        yield GaugeMetricFamily(
            "syncer_last_backup_timestamp_seconds",
            "When the newest backup was made; 0: there is none",
            value=live.last_backup or 0,
        )
    yield GaugeMetricFamily("syncer_up", "1: the daemon answers", value=1)
    yield GaugeMetricFamily("syncer_start_time_seconds", "When the daemon started", value=live.started)
    build = _gauge("build_info", "1, with the version", ("version",))
    build.add_metric((__version__,), 1)
    yield build
