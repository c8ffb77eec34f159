"""Says up to when the lists behind the callbacks were read completely. Light to import, so `status` starts fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, assert_never

from syncer.core.wording import seconds_since, span

if TYPE_CHECKING:
    from syncer.config import Settings
    from syncer.store.db.read_only import Reader
    from syncer.store.read.coverage import Wanted
    from syncer.sync.registry import JobSpec


def wanted(specs: Sequence[JobSpec], now: datetime) -> dict[tuple[str, str], Wanted]:
    """By job and account: the span that the mirror should cover, for lists that are read in time windows."""
    from syncer.config import Windowed
    from syncer.store.read.coverage import Wanted

    return {
        (spec.job, spec.account): Wanted(
            spec.resource.lists,
            int(spec.settings.begin(now).timestamp() * 1000),
            int(now.timestamp() * 1000),
            int(spec.every.total_seconds()),
        )
        for spec in specs
        if isinstance(spec.settings, Windowed)
    }


@dataclass(frozen=True, slots=True)
class CallbackProof:
    """Up to when all lists behind the callbacks were read completely, and why they may be incomplete."""

    verified_to: str | None  #: UTC text
    doubts: tuple[str, ...]  #: a sentence each


def callback_proof(conn: Reader, settings: Settings, now: datetime) -> CallbackProof | None:
    """Whether the list of callbacks can be trusted; None if no calls are pulled."""
    from syncer.config import Windowed
    from syncer.core.callbacks import Doubt, doubt
    from syncer.store.read import coverage, status_queries
    from syncer.store.read.coverage import Facts
    from syncer.sync import registry

    specs = [
        spec for spec in registry.specs(settings) if spec.enabled and isinstance(spec.settings, Windowed)
    ]
    if not any(spec.resource.section == "calls" for spec in specs):
        return None
    facts, jobs = coverage.load(conn, wanted(specs, now)), status_queries.jobs(conn)
    ends, doubts = list[str | None](), list[str]()
    for spec in specs:
        key, name = (spec.job, spec.account), f"{spec.job} of {spec.label}"
        found, outcome = facts.get(key, Facts()), jobs.get(key, {}).get("outcome")
        late = None if found.covered_to is None else seconds_since(found.covered_to, now)
        ends.append(found.covered_to)
        match doubt(
            outcome=outcome, late_s=late, every_s=spec.every.total_seconds(), unread_s=found.unread_s
        ):
            case None:
                pass
            case Doubt.UNREAD:
                doubts.append(f"{name} was not read yet")
            case Doubt.FAILED:
                doubts.append(
                    f"the last run of {name} {'failed' if outcome == 'failed' else f'was {outcome}'}"
                )
            case Doubt.LATE:
                doubts.append(f"{name} was last read completely {span(late or 0.0)} ago")
            case Doubt.GAPS:
                doubts.append(f"{span(found.unread_s)} of {name} were never read completely")
            case never:
                assert_never(never)
    return CallbackProof(None if None in ends else min(filter(None, ends)), tuple(doubts))
