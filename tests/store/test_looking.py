"""Looking with Python's own sqlite3: the same answers and refusals as by a whole `Database`, and no writing."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syncer.core.model import FIELDS
from syncer.core.normalise import to_e164
from syncer.errors import SchemaError, StoreBusyError, StoreError, UsageError
from syncer.store.db import revision
from syncer.store.db.columns import COLUMNS, TABLES
from syncer.store.db.connection import Database
from syncer.store.db.read_only import Readable, Reader, ReadOnlyDatabase, first, records, sql_function
from syncer.store.db.tables import metadata
from syncer.store.read import contact_queries, coverage, feed, metric_queries, status_queries
from tests.store.conftest import BEFORE, Mirror

#: Both ways to open a file that has to be there.
OPENED: list[Callable[..., Any]] = [
    ReadOnlyDatabase,
    lambda path, **more: Database(path, create=False, **more),
]
opened = pytest.mark.parametrize("opener", OPENED, ids=["looking", "database"])


def test_the_names_are_those_of_the_tables() -> None:
    assert set(metadata.tables) == TABLES
    shown = {name: tuple(column.name for column in metadata.tables[name].columns) for name in COLUMNS}
    assert shown == COLUMNS


# -- the same answers ----------------------------------------------------------------------------------


@pytest.fixture
def busy(mirror: Mirror) -> Mirror:
    """A mirror with rows in each table that is read."""
    mirror.accounts(("main", True, False))
    first = mirror.contact()
    other = mirror.contact("919200000002", contact_id="c-2", first_name="Żółw", company="Acme")
    gone = mirror.contact("919200000003", contact_id="c-3", deleted_at=BEFORE)
    clash = '{"company": {"base": "", "local": "Acme", "remote": "Other"}}'
    mirror.change(first, "update", "conflict", clashes=clash)
    mirror.change(other, "update", "queued", fields='{"company": "Acme"}')
    mirror.change(gone, "delete", "done", settled_at=BEFORE)
    for statement in (
        "INSERT INTO telecmi_user_contacts (account, mobile, name) VALUES ('main', '919200000009', 'Nobody')",
        "INSERT INTO smartflo_contacts (account, smartflo_id, name, phone_e164) VALUES ('flo', 's', 'B', '+919200000001')",
        "INSERT INTO telecmi_voicemails (account, voicename, received_at, phone_e164) "
        f"VALUES ('main', 'v', '{BEFORE}', '+919200000001')",
        "INSERT INTO sync_jobs (job, account, provider, every_s, last_ok_at, notes) "
        f"VALUES ('telecmi-voicemails', 'main', 'telecmi', 300, '{BEFORE}', '{{\"widest_ms\": 60000}}')",
        "INSERT INTO sync_runs (job, account, started_at, finished_at, outcome, listing) "
        f"VALUES ('telecmi-voicemails', 'main', '{BEFORE}', '{BEFORE}', 'ok', '{{\"verdict\": \"complete\"}}')",
        f"INSERT INTO sync_runs (job, account, started_at) VALUES ('telecmi-voicemails', 'main', '{BEFORE}')",
        "INSERT INTO windows VALUES ('main', 'telecmi_voicemails', 0, 1000, 5, 1), ('main', 'telecmi_voicemails', 9000000, 9500000, 5, 1)",
        "INSERT INTO set_aside (job, account, digest, reason, raw, first_seen_at, last_seen_at) "
        f"VALUES ('j', 'main', 'd', 'r', '1', '{BEFORE}', '{BEFORE}')",
        f"INSERT INTO held (job, account, reason, rows, created_at) VALUES ('j', 'main', 'r', 1, '{BEFORE}')",
        "INSERT INTO held_rows VALUES (1, 'telecmi_contacts', 1, '', 0)",
        f"INSERT INTO change_log (at, table_name, row_id, kind, origin) VALUES ('{BEFORE}', 'held', 1, 'insert', 'local')",
    ):
        mirror.own(statement)
    return mirror


def everything(conn: Reader) -> list[object]:
    """All that a command can ask for."""
    return [
        revision.current(conn),
        status_queries.jobs(conn),
        status_queries.set_aside_counts(conn),
        status_queries.row_counts(conn),
        status_queries.queue_counts(conn),
        status_queries.list_changes(conn),
        status_queries.list_changes(conn, ["main"], contact=1, settled=True, limit=1),
        status_queries.load_change(conn, 1),
        status_queries.upstream_in_conflict(conn, 1),
        status_queries.list_holds(conn),
        status_queries.list_holds(conn, number=1),
        status_queries.hold_rows(conn, 1, 5),
        coverage.load(conn),
        # A moment may pass between two looks: how old things are is left out.
        replace(metric_queries.read_figures(conn, metric_queries.Totals()), jobs=(), oldest={}, callbacks=()),
        [replace(job, age_s=0) for job in metric_queries.read_jobs(conn)],
        coverage.load_windows(conn, "main", "telecmi_voicemails"),
        feed.last_seq(conn),
        feed.first_seq(conn),
        feed.entries(conn, 0, 100),
        feed.summary(conn, 0),
        feed.pending(conn, "main"),
        contact_queries.list_telecmi(conn, ["main"], tombstones=True),
        contact_queries.list_telecmi(conn, ["main"], search="żółw", limit=1),
        contact_queries.list_smartflo(conn, ["flo"], search="b"),
        contact_queries.list_any(conn, ["main"], ["flo"]),
        contact_queries.list_any(conn, ["main"], ["flo"], search="92000 00001"),
        contact_queries.find_contacts(conn, "+919200000001", {"main": "IN"}),
        contact_queries.find_contacts(conn, "9200000001", {"main": "IN"}),
        contact_queries.holders(conn, "main", "+919200000001", "IN"),
        contact_queries.load_contact(conn, 1),
        contact_queries.upstream_values(conn, 1),
        contact_queries.list_voicemails(conn, ["main"], since=BEFORE, unknown=False),
    ]


def test_both_ways_to_read_give_the_same(busy: Mirror) -> None:
    with ReadOnlyDatabase(busy.path) as looking, looking.read() as conn:
        seen = everything(conn)
    with busy.db.read() as conn:
        assert everything(conn) == seen
    # A comparison of nothing shows nothing.
    assert [n for n, one in enumerate(seen) if one in (None, [], {}, 0)] == []


def test_a_current_run_is_shown_with_the_last_one_that_ended(busy: Mirror) -> None:
    with busy.db.read() as conn:
        job = status_queries.jobs(conn)["telecmi-voicemails", "main"]
    assert (job["outcome"], job["finished_at"], job["running_since"]) == ("ok", BEFORE, BEFORE)


def test_it_reads_one_moment(mirror: Mirror) -> None:
    mirror.contact()
    with ReadOnlyDatabase(mirror.path) as looking:
        with looking.read() as conn:
            before = looking.data_version()
            assert len(contact_queries.list_telecmi(conn, ["main"])) == 1
            mirror.contact("919200000002", contact_id="c-2")
            assert len(contact_queries.list_telecmi(conn, ["main"])) == 1
        with looking.read() as conn:
            assert len(contact_queries.list_telecmi(conn, ["main"])) == 2
        assert looking.data_version() != before


def test_it_writes_nothing(mirror: Mirror) -> None:
    mirror.contact()
    before = mirror.everything()
    with (
        ReadOnlyDatabase(mirror.path) as looking,
        pytest.raises(StoreError, match="cannot be written"),
        looking.read() as conn,
    ):
        conn.execute("UPDATE sync_guard SET active = 1")
    assert mirror.everything() == before


def test_what_a_killed_program_left_in_the_log_is_seen(mirror: Mirror, tmp_path: Path) -> None:
    mirror.contact()
    left = tmp_path / "left.db"
    for suffix in ("", "-wal"):
        shutil.copy(f"{mirror.path}{suffix}", f"{left}{suffix}")
    with ReadOnlyDatabase(left) as looking, looking.read() as conn:
        assert len(contact_queries.list_telecmi(conn, ["main"])) == 1


# -- the same refusals ---------------------------------------------------------------------------------


@opened
def test_a_file_has_to_be_there(opener: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no database m\.db yet"):
        opener(tmp_path / "m.db")
    with pytest.raises(StoreError, match="names a folder"):
        opener(tmp_path)
    assert list(tmp_path.iterdir()) == []


@opened
def test_a_file_of_another_kind_is_refused(opener: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    path.write_bytes(b"name,number\n" * 1000)
    with pytest.raises(SchemaError, match=r"sheet\.csv is not an intact SQLite database"), opener(path) as db:
        revision.is_current(db)
    assert path.read_bytes() == b"name,number\n" * 1000


@opened
def test_a_file_that_another_program_holds_is_busy(opener: Callable[..., Any], mirror: Mirror) -> None:
    mirror.db.close()
    other = mirror.client("locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreBusyError, match="held by another"), opener(mirror.path, busy_timeout=0.05) as db:
        revision.is_current(db)
    other.close()


@opened
def test_a_database_from_a_newer_version_is_refused(opener: Callable[..., Any], mirror: Mirror) -> None:
    mirror.sql("UPDATE alembic_version SET version_num = '9999'")
    db: Readable
    with opener(mirror.path) as db, pytest.raises(SchemaError, match="newer version of syncer"):
        revision.is_current(db)


@opened
def test_a_search_for_invalid_text_finds_nothing(opener: Callable[..., Any], mirror: Mirror) -> None:
    with (
        opener(mirror.path) as db,
        pytest.raises(UsageError, match="not UTF-8 text"),
        db.read() as conn,
    ):
        contact_queries.find_contacts(conn, "\udcff", {"main": "IN"})


@opened
@pytest.mark.parametrize("raised", [KeyboardInterrupt, ZeroDivisionError])
def test_what_ends_a_question_of_sqlite_s_ends_the_query(
    opener: Callable[..., Any], mirror: Mirror, raised: type[BaseException]
) -> None:
    def answer(_: object) -> bool:
        raise raised

    with (
        opener(mirror.path) as db,
        pytest.raises(raised),
        db.read() as conn,
        sql_function(conn, "ask", 1, answer),
    ):
        records(conn, "SELECT ask(1)")


def test_a_question_is_open_for_as_long_as_it_is_asked(mirror: Mirror) -> None:
    with mirror.db.read() as conn, sql_function(conn, "ask", 1, bool):
        assert records(conn, "SELECT ask(1) AS yes") == [{"yes": 1}]
    with pytest.raises(StoreError, match="refused a statement"), mirror.db.read() as conn:
        records(conn, "SELECT ask(1)")


@pytest.mark.parametrize(
    "left", [(), ("-wal",), ("-wal", "-shm")], ids=["nothing", "a log", "a log and its index"]
)
def test_what_cannot_be_written_is_shown_all_the_same(mirror: Mirror, left: tuple[str, ...]) -> None:
    row = mirror.contact(company="Acme Example")
    mirror.db.pragma("PRAGMA wal_checkpoint(TRUNCATE)")
    mirror.own("UPDATE telecmi_contacts SET company = 'Later Example' WHERE id = ?", row)
    # Not below the folder of this test, which nobody but its owner may enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for suffix in ("", *left):
            shutil.copy(f"{mirror.path}{suffix}", folder / f"m.db{suffix}")
            (folder / f"m.db{suffix}").chmod(0o444)
        folder.chmod(0o555)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                if os.geteuid() == 0:
                    os.setuid(65534)
                with ReadOnlyDatabase(folder / "m.db") as db, db.read() as conn:
                    os.write(writing, first(conn, "SELECT company FROM telecmi_contacts").encode())
            os._exit(0)
        os.waitpid(child, 0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            shown = pipe.read()
        folder.chmod(0o755)
    assert shown == ("Later Example" if "-shm" in left else "Acme Example")


# -- searching -----------------------------------------------------------------------------------------


def by_the_rule(row: dict[str, str | None], search: str) -> bool:
    """Every word is in a value, in any case, or the number is, with anything between its digits."""
    values = [value.casefold() for value in row.values() if value]
    if all(any(word in value for value in values) for word in search.casefold().split()):
        return True
    digits = "".join(sign for sign in search if sign.isdecimal()).lstrip("0")
    if len(digits) < 3 or not all(sign.isdecimal() or sign.isspace() or sign in "+().-" for sign in search):
        return False
    bare = ["".join(sign for sign in value if sign.isdecimal()) for value in values]
    return any(digits in value for value in bare)


def person(**fields: str) -> dict[str, str | None]:
    return dict.fromkeys(FIELDS) | fields


VALUES = st.none() | st.text(alphabet="aAßẞſsKéÉżŻ 019٣\n+-()\x00ﬁ", max_size=6)
SEARCHES = st.text(alphabet="aAßsKkÉéż 019٣+-()f", min_size=1, max_size=6)


@given(
    st.lists(st.fixed_dictionaries(dict.fromkeys(FIELDS, VALUES)), min_size=1, max_size=4),
    SEARCHES,
)
@example([person(first_name="ab", last_name="cd")], "bc")
@example([person(first_name="x12", last_name="34")], "1234")
@example([person(first_name="x1 2\n34")], "1-234")
@example([person(company="1"), person()], "000")
@example([person(company="Straße")], "STRASSE")
def test_a_search_finds_by_the_rule(rows: list[dict[str, str | None]], search: str) -> None:
    conn = sqlite3.connect(":memory:")
    conn.execute(f"CREATE TABLE telecmi_contacts ({', '.join(COLUMNS['telecmi_contacts'])})")
    for number, row in enumerate(rows):
        conn.execute(
            f"INSERT INTO telecmi_contacts (id, account, {', '.join(row)}) "
            f"VALUES (?, 'main'{', ?' * len(row)})",
            (number, *row.values()),
        )
    found = {row["id"] for row in contact_queries.list_telecmi(conn, ["main"], search=search)}
    conn.close()
    assert found == {number for number, row in enumerate(rows) if by_the_rule(row, search)}


def test_bytes_that_are_no_text_are_searched_too(mirror: Mirror) -> None:
    mirror.contact()
    mirror.own("UPDATE telecmi_contacts SET company = CAST(x'4dff6d' AS TEXT)")
    with ReadOnlyDatabase(mirror.path) as looking, looking.read() as conn:
        (row,) = contact_queries.list_telecmi(conn, ["main"], search="asha m\ufffdm")
    assert row["company"] == "M\ufffdm"


def test_a_number_that_was_never_read_is_found_as_it_is_written(mirror: Mirror) -> None:
    masked = mirror.contact("98******01", contact_id="c-9")
    mirror.own("UPDATE telecmi_contacts SET phone_e164 = NULL WHERE id = ?", masked)
    edited = mirror.contact()
    mirror.own("UPDATE telecmi_contacts SET phone_no = '92000 00077', phone_e164 = NULL WHERE id = ?", edited)
    with ReadOnlyDatabase(mirror.path) as looking, looking.read() as conn:

        def ids(who: str) -> list[int]:
            return [row["id"] for row in contact_queries.find_contacts(conn, who, {"main": "IN"})]

        assert ids("98******01") == [masked]
        assert ids("+919200000077") == ids("92000 00077") == ids("09200000077") == [edited]
        assert ids("+919200000001") == []


def test_a_number_that_is_read_in_another_way_since_is_found_as_it_is_written(mirror: Mirror) -> None:
    row = mirror.contact()  # the region of the account was changed after it came
    mirror.own("UPDATE telecmi_contacts SET phone_no = '202 555 01' WHERE id = ?", row)
    with ReadOnlyDatabase(mirror.path) as looking, looking.read() as conn:
        (found,) = contact_queries.find_contacts(conn, "202 555 01", {"main": "IN"})
    assert found["id"] == row


@pytest.mark.parametrize("region", ["IN", "US", "IT", "AR"])
def test_a_number_in_full_is_read_in_one_way(region: str) -> None:
    # Such a number is searched for as written.
    for number in ("+919200000001", "+14155552671", "+390669812345", "+5491123456789", "+447400123456"):
        assert to_e164(number, region) == number
