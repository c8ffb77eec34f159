"""Compares the mirror with a published copy, row by row, without writing to either."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from syncer.clock import SystemClock
from syncer.config import Settings
from syncer.config.targets import PublishTarget
from syncer.errors import UsageError
from syncer.locks import Locks
from syncer.store.db.read_only import ReadOnlyDatabase
from syncer.store.db.revision import is_current
from syncer.store.publish.comparing import blocks
from syncer.store.publish.copy import Copy
from syncer.sync.copy_thread import PATIENCE, cut_off
from syncer.sync.env import Progress
from syncer.sync.publish import check_source, connect, source_of
from syncer.sync.registry import JobSpec

Key = str | int | None


@dataclass(slots=True)
class TableResult:
    """The keys of the rows of one table that differ."""

    table: str
    rows: int = 0  #: of the mirror
    missing: list[Key] = field(default_factory=list)
    different: list[Key] = field(default_factory=list)
    extra: list[Key] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CopyResult:
    """What the comparison found."""

    tables: list[TableResult]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not any(one.missing or one.different or one.extra for one in self.tables)


async def verify(settings: Settings, spec: JobSpec, progress: Progress) -> CopyResult:
    """Compare all rows under the lock of the publish job. Raises RemoteError, LockedError."""
    assert isinstance(spec.config, PublishTarget)
    locks = Locks(settings.database.path, "syncer verify", settings.database.group)
    async with locks.hold([spec.lock]):
        with closing(connect(spec.config, SystemClock()).client) as copy:
            position = await cut_off(copy, PATIENCE, copy.open, make=False)
            if position is None:
                raise UsageError(
                    f"nothing was published to {spec.label} yet: `syncer publish {spec.account}` does"
                )
            with ReadOnlyDatabase(settings.database.path) as db, db.read() as conn:
                check_source(spec.config, position, source_of(conn))
            return await cut_off(copy, PATIENCE, _compare, settings.database.path, copy, spec, progress)


def _compare(path: Path, copy: Copy, spec: JobSpec, progress: Progress) -> CopyResult:
    tables: dict[str, TableResult] = {}
    with ReadOnlyDatabase(path) as db:
        if not is_current(db):
            raise UsageError("the database is older than this version: run `syncer db upgrade`")
        for block in blocks(db, copy):
            found = tables.setdefault(block.published.name, TableResult(block.published.name))
            found.rows += block.count
            found.missing += block.missing
            lacking = set(block.missing)
            found.different += [row[0] for row in block.rows if row[0] not in lacking]
            found.extra += block.gone
            progress(spec.job, spec.account, sum(one.rows for one in tables.values()), None)
    return CopyResult(list(tables.values()))
