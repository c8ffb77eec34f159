"""Care of the file: what is deleted and what stays, the write-ahead log, backups, and the figures."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from syncer.config import Backup, Retention, Settings, SmartfloAccount
from syncer.core.normalise import utc_text
from syncer.daemon import file_maintenance, metrics
from syncer.errors import SchemaError, StoreError
from syncer.locks import Locks
from syncer.store.db.connection import Connection, Database
from syncer.store.read import metric_queries
from syncer.sync.env import Store
from syncer.sync.open_database import open_database, register
from tests.rows import insert

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


@pytest.fixture
def db(settings: Settings) -> Iterator[Database]:
    with open_database(settings) as opened:
        yield opened


def add_runs(db: Database, job: str, count: int, at: datetime, **counts: int) -> None:
    counted = {"requests": 0, "seen": 0, "added": 0, "changed": 0, "removed": 0} | counts
    with db.write() as conn:
        for n in range(count):
            began = utc_text(at + timedelta(seconds=n))
            ended = utc_text(at + timedelta(seconds=n + 2))
            conn.exec_driver_sql(
                "INSERT INTO sync_runs (job, account, started_at, finished_at, outcome, requests, seen, added, "
                "changed, removed) VALUES (?, 'main', ?, ?, 'ok', ?, ?, ?, ?, ?)",
                (job, began, ended, *counted.values()),
            )


def forget(db: Database, settings: Settings, retention: Retention) -> tuple[int, int]:
    locks = Locks(db.path, "a test")
    return asyncio.run(file_maintenance.delete_old_records(Store(db), locks, retention, NOW))


def count(db: Database, table: str) -> int:
    with db.read() as conn:
        return int(conn.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


def totals_of(db: Database) -> metric_queries.Totals:
    totals = metric_queries.Totals()
    with db.read() as conn:
        totals.read(conn)
    return totals


def test_old_runs_go_but_the_last_hundred_of_each_job_stay(db: Database, settings: Settings) -> None:
    old = NOW - timedelta(days=100)
    add_runs(db, "telecmi-push", 1300, old, seen=2)
    add_runs(db, "telecmi-contacts", 60, old)
    add_runs(db, "telecmi-push", 30, NOW)
    before = totals_of(db).sums["telecmi-push", "main"]
    assert forget(db, settings, Retention()) == (1230, 0)
    assert count(db, "sync_runs WHERE job = 'telecmi-push'") == 100
    assert count(db, "sync_runs WHERE job = 'telecmi-contacts'") == 60
    assert forget(db, settings, Retention()) == (0, 0)
    # A counter that shrinks would be read as a restart, and counted twice.
    assert totals_of(db).sums["telecmi-push", "main"] == before
    assert totals_of(db).outcomes["telecmi-push", "main", "ok"] == 1330


def test_a_run_under_way_keeps_its_record_and_its_job_is_left_alone(db: Database, settings: Settings) -> None:
    add_runs(db, "telecmi-push", 300, NOW - timedelta(days=100))
    locks = Locks(db.path, "a run")
    handle = locks.try_acquire("telecmi-push.main")
    assert handle is not None
    assert forget(db, settings, Retention()) == (0, 0)
    locks.release(handle)
    assert forget(db, settings, Retention()) == (200, 0)


def test_old_log_entries_go(db: Database, settings: Settings) -> None:
    with db.write() as conn:
        for at, number in ((NOW - timedelta(days=800), 1200), (NOW, 5)):
            for _ in range(number):
                conn.exec_driver_sql(
                    "INSERT INTO change_log (at, table_name, row_id, kind, origin) "
                    "VALUES (?, 'telecmi_contacts', 1, 'insert', 'upstream')",
                    (utc_text(at),),
                )
    assert forget(db, settings, Retention()) == (0, 1200)
    assert count(db, "change_log") == 5


def test_old_changes_and_holds_go_when_they_are_over(db: Database, settings: Settings) -> None:
    old, new = utc_text(NOW - timedelta(days=800)), utc_text(NOW)
    with db.write() as conn:
        insert(conn, "telecmi_contacts", id=1, account="main", first_seen_at=old, last_changed_at=old)
        for state, settled in (
            ("done", old), ("discarded", old), ("done", new), ("rejected", None), ("conflict", None), ("done", old),
        ):  # fmt: skip
            conn.exec_driver_sql(
                "INSERT INTO change_queue (account, contact_row, operation, state, created_at, settled_at) "
                "VALUES ('main', 1, 'update', ?, ?, ?)",
                (state, old, settled),
            )
        insert(conn, "push_intents", row_id=1, change_id=6, operation="update", fields="{}", sent_at=old)
        for number, decision in enumerate(("superseded", "approved", "rejected", None), start=1):
            conn.exec_driver_sql(
                "INSERT INTO held (id, job, account, reason, rows, created_at, decided_at, decision) "
                "VALUES (?, 'telecmi-contacts', 'main', 'x', 1, ?, ?, ?)",
                (number, old, old if decision else None, decision),
            )
            insert(conn, "held_rows", held_id=number, table_name="telecmi_contacts", row_id=1, field="")
    assert forget(db, settings, Retention()) == (0, 3)
    with db.read() as conn:
        assert conn.exec_driver_sql("SELECT id FROM change_queue ORDER BY id").scalars().all() == [3, 4, 5, 6]
        assert conn.exec_driver_sql("SELECT id FROM held ORDER BY id").scalars().all() == [2, 3, 4]
        assert conn.exec_driver_sql("SELECT held_id FROM held_rows ORDER BY 1").scalars().all() == [2, 3, 4]
    assert forget(db, settings, Retention()) == (0, 0)


def test_totals_wait_for_runs_under_way(db: Database) -> None:
    add_runs(db, "telecmi-push", 2, NOW, added=1)
    with db.write() as conn:
        insert(conn, "sync_runs", job="telecmi-contacts", account="main", started_at=utc_text(NOW))
    add_runs(db, "telecmi-push", 2, NOW, added=1)
    totals = totals_of(db)
    assert totals.sums["telecmi-push", "main"]["added"] == 2
    with db.write() as conn:
        conn.exec_driver_sql(
            "UPDATE sync_runs SET finished_at = started_at, outcome = 'ok' WHERE finished_at IS NULL"
        )
    for _ in range(2):
        with db.read() as conn:
            totals.read(conn)
        assert totals.sums["telecmi-push", "main"]["added"] == 4
        assert totals.outcomes["telecmi-contacts", "main", "ok"] == 1


def grow_wal(db: Database) -> None:
    """More than `LARGE_WAL` of it, in few statements, as a reader that stays open makes it grow."""
    with contextlib.closing(sqlite3.connect(db.path, isolation_level=None)) as other:
        other.execute("PRAGMA wal_autocheckpoint = 0")
        other.execute("CREATE TABLE ballast (x)")
        for _ in range(20):
            other.execute("INSERT INTO ballast VALUES (zeroblob(1000000))")
        other.execute("DROP TABLE ballast")


def test_a_large_log_is_written_back_and_cut(db: Database) -> None:
    with contextlib.closing(sqlite3.connect(db.path)) as keeps_it_open:
        keeps_it_open.execute("SELECT 1 FROM sqlite_master").fetchall()
        grow_wal(db)
        assert file_maintenance.wal_size(db) > file_maintenance.LARGE_WAL
        assert file_maintenance.shrink_wal(db)
        assert file_maintenance.wal_size(db) == 0
        assert db.pragma("PRAGMA busy_timeout") == [(10_000,)]


def test_a_long_reader_costs_neither_the_log_nor_the_writers_their_patience(db: Database) -> None:
    """Row 23: a reader held open."""
    with contextlib.closing(sqlite3.connect(db.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sync_runs").fetchall()
        grow_wal(db)
        assert not file_maintenance.shrink_wal(db)
        reader.execute("ROLLBACK")
        assert file_maintenance.shrink_wal(db)


def test_statistics_are_renewed(db: Database) -> None:
    add_runs(db, "telecmi-push", 2000, NOW)
    with db.read() as conn:  # what the planner was asked for is what is worth its statistics
        conn.exec_driver_sql("SELECT * FROM sync_runs WHERE job = 'x' AND account = 'y'").all()
    file_maintenance.optimize(db)
    with db.read() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM sqlite_stat1 WHERE tbl = 'sync_runs'").scalar_one()


def test_a_damaged_backup_is_reported_and_deletes_no_older_one(db: Database, tmp_path: Path) -> None:
    config = Backup(True, timedelta(days=1), 1, tmp_path / "backups")
    first = file_maintenance.make_backup(config, db.path, NOW)
    # An index that disagrees with its table: VACUUM copies both as they are.
    with db.edit() as conn:
        conn.exec_driver_sql("CREATE TABLE ballast (x)")
        conn.exec_driver_sql("INSERT INTO ballast VALUES (1), (2)")
        conn.exec_driver_sql("CREATE INDEX ballast_x ON ballast (x)")
    db.pragma("PRAGMA writable_schema = ON")
    with db.edit() as conn:
        conn.exec_driver_sql(
            "UPDATE sqlite_master SET sql = 'CREATE INDEX ballast_x ON ballast (-x)' WHERE name = 'ballast_x'"
        )
    with pytest.raises(SchemaError, match="is damaged"):
        file_maintenance.make_backup(config, db.path, NOW + timedelta(days=1))
    assert [path for _, path in file_maintenance.backups(config.path, db.path, NOW + timedelta(days=9))] == [
        first
    ]
    assert [path.name for path in config.path.iterdir()] == [first.name]


def test_backups_are_whole_private_and_no_more_than_asked_for(db: Database, tmp_path: Path) -> None:
    config = Backup(True, timedelta(days=1), 3, tmp_path / "backups")
    assert file_maintenance.backup_due(config, db.path, NOW)
    (tmp_path / "backups").mkdir()
    (tmp_path / "backups" / "syncer-20200101T000000Z.db.part").write_text("half of one")
    (tmp_path / "backups" / "somebody-elses.db").write_text("not ours")
    made = []
    for day in range(5):
        made.append(file_maintenance.make_backup(config, db.path, NOW + timedelta(days=day)))
    assert [
        path for _, path in file_maintenance.backups(config.path, db.path, NOW + timedelta(days=9))
    ] == made[2:]
    assert sorted(path.name for path in config.path.iterdir()) == sorted(
        ["somebody-elses.db", *(path.name for path in made[2:])]
    )
    assert made[-1].stat().st_mode & 0o777 == 0o600
    with contextlib.closing(sqlite3.connect(made[-1])) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert copy.execute("SELECT count(*) FROM sync_jobs").fetchone() == (5,)
    last = NOW + timedelta(days=4)
    assert not file_maintenance.backup_due(config, db.path, last + timedelta(hours=23))
    assert file_maintenance.backup_due(config, db.path, last + timedelta(hours=24))


@pytest.mark.parametrize("ahead", [timedelta(hours=5, minutes=30), timedelta(days=60), timedelta(days=3650)])
def test_backups_dated_ahead_are_the_oldest(db: Database, tmp_path: Path, ahead: timedelta) -> None:
    config = Backup(True, timedelta(hours=1), 2, tmp_path / "backups")
    for hour in range(2):
        file_maintenance.make_backup(config, db.path, NOW + ahead + timedelta(hours=hour))
    made = []
    for hour in range(3):
        now = NOW + timedelta(hours=hour)
        assert file_maintenance.backup_due(config, db.path, now)
        made.append(file_maintenance.make_backup(config, db.path, now))
        assert not file_maintenance.backup_due(config, db.path, now + timedelta(minutes=59))
        assert file_maintenance.backups(config.path, db.path, now)[-1][1] == made[-1]
    assert [path for _, path in file_maintenance.backups(config.path, db.path, now)] == made[1:]


def test_a_backup_that_cannot_be_written_is_reported(db: Database, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"backup\.path"):
        file_maintenance.make_backup(
            Backup(True, timedelta(days=1), 3, tmp_path / "file" / "x"), db.path, NOW
        )


@pytest.mark.anyio
async def test_work_in_the_background_gives_its_value_or_its_error() -> None:
    assert await file_maintenance.in_background(lambda: 3) == 3

    def fail() -> None:
        raise StoreError("no")

    with pytest.raises(StoreError):
        await file_maintenance.in_background(fail)


# -- the figures ---------------------------------------------------------------------------------------


def sample(page: bytes) -> dict[str, float]:
    lines = [line for line in page.decode().splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def page_of(db: Database) -> dict[str, float]:
    totals = metric_queries.Totals()
    with db.read() as conn:
        read = metric_queries.read_figures(conn, totals)
    live = metrics.Live(
        NOW.timestamp(), {("telecmi", "main"): (7, 1.5)}, [("wal_bytes", "its size", 10)], None, True
    )
    return sample(metrics.render(read, totals, live))


def test_an_empty_mirror_has_all_its_figures(db: Database) -> None:
    found = page_of(db)
    assert found['syncer_last_success_timestamp_seconds{account="main",job="telecmi-push"}'] == 0
    assert found['syncer_job_stale{account="main",job="telecmi-push"}'] == 1
    states = [key for key in found if key.startswith("syncer_queue_changes")]
    assert len(states) == 8
    assert found['syncer_conflicts{account="main"}'] == 0
    assert found['syncer_queue_oldest_seconds{account="main"}'] == 0
    assert found["syncer_last_backup_timestamp_seconds"] == 0
    assert found['syncer_budget_wait_seconds_total{account="main",provider="telecmi"}'] == 1.5
    assert found['syncer_requests_total{account="main",provider="telecmi"}'] == 7


def test_what_waits_for_a_person_is_counted(db: Database) -> None:
    def put(conn: Connection) -> None:
        insert(conn, "telecmi_contacts", id=1, account="main", phone_no="919200000000")
        for state, at in (("conflict", "2020"), ("queued", "2026-11-20"), ("held", "2019"), ("done", "2018")):
            conn.exec_driver_sql(
                "INSERT INTO change_queue (account, contact_row, operation, state, created_at) "
                "VALUES ('main', 1, 'update', ?, ?)",
                (state, f"{at}-01-01T00:00:00.000Z" if len(at) == 4 else f"{at}T00:00:00.000Z"),
            )
        conn.exec_driver_sql(
            "INSERT INTO held (job, account, reason, rows, created_at) "
            "VALUES ('telecmi-contacts', 'main', 'many', 12, '2026-11-20T00:00:00.000Z')"
        )

    with db.write() as conn:
        put(conn)
    found = page_of(db)
    assert found['syncer_conflicts{account="main"}'] == 1
    assert found['syncer_queue_changes{account="main",state="held"}'] == 1
    assert found['syncer_held{account="main",job="telecmi-contacts"}'] == 12
    # The oldest change that is not sent yet. What waits for a person has its own metric.
    assert found['syncer_queue_oldest_seconds{account="main"}'] < 86400 * 365


def test_health_names_each_job_that_is_stale(db: Database, settings: Settings) -> None:
    with db.write() as conn:
        conn.exec_driver_sql(
            "UPDATE sync_jobs SET last_ok_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-205 seconds')"
        )
    with db.read() as conn:
        found = metric_queries.read_jobs(conn)
    reasons = metric_queries.stale_reasons(found)
    assert len(reasons) == 1
    assert reasons[0].startswith("telecmi-push of telecmi.main last succeeded 20")
    push_off = replace(settings.telecmi[0], push=replace(settings.telecmi[0].push, enabled=False))
    register(db, replace(settings, accounts=(push_off, *settings.of(SmartfloAccount))))
    with db.read() as conn:
        assert metric_queries.stale_reasons(metric_queries.read_jobs(conn)) == []


def test_sizes_are_those_of_the_files(db: Database) -> None:
    sizes: dict[str, Any] = {name: size for name, _, size in metric_queries.file_sizes(db.path)}
    assert sizes["database_bytes"] == db.path.stat().st_size
    assert sizes["disk_free_bytes"] > 0
