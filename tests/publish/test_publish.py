"""The `publish` job: the copy equals the mirror after whatever happens to either."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest

from syncer.errors import RejectedError
from syncer.store.db import migrations
from syncer.store.publish import schema
from syncer.store.write.forget import forget
from syncer.sync import copy_thread, jobs, registry
from syncer.sync.env import no_progress
from syncer.sync.open_database import register
from syncer.sync.verify_copy import verify
from tests.office import Office, VirtualClock
from tests.postgres import Server
from tests.publish.conftest import Published
from tests.publish.equality import TABLES, assert_equal

ASHA = 919200000001


@pytest.fixture
def busy(tmp_path: Path, server: Server) -> Any:
    """An office of both vendors with some of everything, published once."""
    clock = VirtualClock()
    made = Published(
        tmp_path, server, clock=clock,
        telecmi={"calls": {"enabled": True}}, smartflo={"token": "sandbox-token", "calls": {"enabled": True}},
    )  # fmt: skip
    made.world.seed(contacts=30, user_contacts=10, voicemails=20, smartflo=10, seed=3)
    made.world.calls_seed(telecmi=25, smartflo=15)
    assert {run.outcome for run in made.run()} == {"ok"}
    yield made
    made.close()


def publish(office: Published, **how: Any) -> Any:
    [run] = office.run("publish", **how)
    assert run.outcome == "ok", run.problem
    return run


def publish_equal(office: Published, **how: Any) -> None:
    """A pass, after which the copy equals the mirror."""
    publish(office, **how)
    assert_equal(office)


def written(office: Published) -> int:
    """Rows that PostgreSQL has written in this schema so far."""
    office.there("SELECT pg_stat_force_next_flush()")
    [(number,)] = office.there(
        "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint FROM pg_stat_user_tables WHERE schemaname = %s",
        office.schema,
    )
    return int(number)


def test_the_first_pass_publishes_everything(busy: Published) -> None:
    assert_equal(busy)
    assert all(busy.one(f"SELECT count(*) FROM {name}") for name in TABLES if name not in ("telecmi_notes", "change_queue"))  # fmt: skip
    [(seq, mark)] = busy.there("SELECT seq, mark FROM syncer_position WHERE site = 'main'")
    assert seq == busy.one("SELECT max(seq) FROM change_log") and mark >= 0
    assert busy.one("SELECT count(*) FROM publish_marks") == 0


def test_a_quiet_pass_writes_nothing(busy: Published) -> None:
    before = written(busy)
    for _ in range(3):
        assert publish(busy).seen == 0
    assert written(busy) == before
    runs = "SELECT outcome, seen > 0 FROM sync_runs WHERE job = 'publish' ORDER BY id"
    assert busy.sql(runs) == [("ok", 1), ("ok", 0)]  # of those that found nothing the newest


def test_what_changes_is_published(busy: Published) -> None:
    [first, second] = list(busy.directory())[:2]
    busy.world.contact_update(first, {"company": "Acme Example"})
    busy.sql("UPDATE telecmi_contacts SET job_title = 'Buyer' WHERE contact_id = ?", second)
    busy.sql("INSERT INTO callback_marks (phone_e164) SELECT phone_e164 FROM callback_numbers WHERE first_at IS NOT NULL LIMIT 1")  # fmt: skip
    busy.world.voicemail_insert(None, ASHA)
    busy.run("telecmi-contacts", "telecmi-voicemails", "telecmi-push")
    assert publish(busy).changed > 3
    assert_equal(busy)
    assert publish(busy).seen == 0


def test_what_the_log_leaves_out_is_published(busy: Published) -> None:
    with busy.db.write() as conn:
        conn.exec_driver_sql("UPDATE telecmi_contacts SET raw = '{\"new\": 1}' WHERE id = 1")
        conn.exec_driver_sql("UPDATE change_log SET old = 'x' WHERE seq = 1")
        conn.exec_driver_sql("DELETE FROM change_log WHERE seq = 2")
    publish_equal(busy)


def test_a_number_that_is_edited_is_one_contact_in_both_views(busy: Published) -> None:
    phone = busy.one(
        "SELECT c.phone_e164 FROM telecmi_contacts c JOIN telecmi_user_contacts u ON u.phone_e164 = c.phone_e164"
    )
    if phone is None:
        one = next(iter(busy.directory().values()))
        busy.world.user_contact_upsert(one["phone_no"], {"name": "Asha Example"})
        busy.run("telecmi-user-contacts")
        phone = busy.one("SELECT phone_e164 FROM telecmi_contacts WHERE phone_no = ?", one["phone_no"])
    busy.sql("UPDATE telecmi_contacts SET phone_no = '919200099999' WHERE phone_e164 = ?", phone)
    publish(busy)
    assert busy.there("SELECT count(*) FROM telecmi_agreed_numbers") == [(1,)]
    assert_equal(busy)
    busy.run("telecmi-push", "telecmi-contacts")
    publish_equal(busy)


def test_forget_reaches_the_copy(busy: Published) -> None:
    phone = busy.one("SELECT phone_e164 FROM telecmi_contacts WHERE phone_e164 IS NOT NULL")
    forget(busy.db, phone, "2026-11-21T12:00:00.000Z")
    publish_equal(busy)
    assert busy.there("SELECT count(*) FROM telecmi_contacts WHERE phone_e164 = %s", phone) == [(0,)]


def test_a_number_that_called_is_forgotten_here_and_in_the_copy(busy: Published) -> None:
    phone = busy.one("SELECT phone_e164 FROM callback_numbers")
    at = "2026-11-21T12:00:00.000Z"
    forget(busy.db, phone, at)
    files = b"".join(one.read_bytes() for one in busy.path.parent.glob(f"{busy.path.name}*") if one.is_file())
    assert phone.encode() not in files, "also while a copy still has it"
    publish_equal(busy)
    busy.sql("INSERT INTO callback_marks (phone_e164, note) VALUES (?, 'again')", phone)
    publish(busy)
    ask = "INSERT INTO contact_edits (site, action, phone_no, first_name) VALUES ('main', 'edit', %s, 'Asha')"
    busy.there(ask, phone)
    forget(busy.db, phone, at)
    publish_equal(busy)
    for table in ("callback_numbers", "callback_marks", "contact_edits"):
        assert busy.there(f"SELECT * FROM {table} t WHERE t::text LIKE %s", f"%{phone}%") == [], table


def test_hands_in_the_copy_are_put_right(busy: Published) -> None:
    busy.there("UPDATE telecmi_contacts SET company = 'Elsewhere', raw = '{}' WHERE id = 1")
    busy.there("DELETE FROM telecmi_contacts WHERE id = 2")
    busy.there("INSERT INTO telecmi_contacts (site, id, account) VALUES ('main', 999999, 'main')")
    assert publish(busy).seen == 0  # nobody looks at each pass
    run = publish(busy, full=True)
    assert (run.changed, run.removed) == (2, 1)
    assert_equal(busy)
    busy.there("DELETE FROM change_log WHERE seq = 1")
    busy.clock.pass_(days=1, seconds=1)
    assert publish(busy, person=False).changed == 1  # the daily comparison
    assert_equal(busy)
    before = written(busy)
    publish(busy, full=True)
    assert written(busy) - before <= 2  # the position alone


def test_a_view_that_was_dropped_comes_back(busy: Published) -> None:
    busy.there("DROP VIEW callbacks")
    publish_equal(busy, full=True)


@pytest.mark.parametrize("side", ["mirror", "copy"])
def test_a_side_that_was_put_back_is_compared_whole(
    busy: Published, server: Server, side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dump() -> list[tuple[Any, ...]]:
        return busy.there("SELECT * FROM syncer_position")

    busy.close()
    shutil.copy(busy.path, busy.path.with_name("saved.db"))
    busy.restart()
    saved = dump()
    for round_ in range(3):
        busy.world.voicemail_insert(None, ASHA + round_)
        busy.run("telecmi-voicemails")
        publish(busy)
    if side == "mirror":
        busy.close()
        shutil.copy(busy.path.with_name("saved.db"), busy.path)
        busy.restart()
        busy.sql("UPDATE telecmi_contacts SET company = 'Restored' WHERE id = 1")
    else:
        busy.there("DELETE FROM telecmi_voicemails WHERE id > 20")
        busy.there(
            "UPDATE syncer_position SET token = %s, mark = %s, seq = %s",
            saved[0][4],
            saved[0][3],
            saved[0][1],
        )
    monkeypatch.setattr(copy_thread, "SILENCE", 0.3)
    with (
        server.connect() as blocker,
        blocker.transaction(),
    ):  # the comparison cannot begin, and is tried again
        blocker.execute(f"LOCK TABLE {busy.schema}.syncer_position IN SHARE MODE")
        assert busy.run("publish", person=False)[0].outcome == "failed"
    publish_equal(busy, person=False)


def test_odd_values_are_published_and_found_equal(busy: Published) -> None:
    with busy.db.write() as conn:
        conn.exec_driver_sql(
            "UPDATE telecmi_contacts SET company = 'a' || char(0) || 'b', first_name = '{\"x\",\\}', "
            'raw = \'{"n": [1.50, 1e3, -0.0, 12345678901234567890], "u": "\\u0000\\ud83d", "dup": 1, "dup": 2, '
            '"tab": "\\t/\\u007f\\u001f", "ключ": "é"}\' WHERE id = 1'
        )
        conn.exec_driver_sql(
            "UPDATE telecmi_contacts SET raw = 'not JSON', deleted_at = 'never' WHERE id = 2"
        )
        conn.exec_driver_sql("UPDATE smartflo_contacts SET created_at = '0000-00-00 00:00:00' WHERE id = 1")
    publish(busy)
    [(company, name)] = busy.there("SELECT company, first_name FROM telecmi_contacts WHERE id = 1")
    assert (company, name) == ("a\ufffdb", '{"x",\\}')
    assert busy.there("SELECT raw #>> '{}', deleted_at FROM telecmi_contacts WHERE id = 2") == [
        ("not JSON", None)
    ]
    before = written(busy)
    publish(busy, full=True)
    assert written(busy) - before <= 2


def test_names_reach_the_copy_whatever_encoding_libpq_is_told(
    office: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.world.seed(contacts=1, seed=1)
    office.run("telecmi-contacts")
    office.sql("UPDATE telecmi_contacts SET first_name = 'आशा' WHERE id = 1")
    with monkeypatch.context() as patched:
        patched.setenv("PGCLIENTENCODING", "LATIN1")
        publish(office)
    assert office.there("SELECT first_name FROM telecmi_contacts") == [("आशा",)]


def test_targets_that_begin_at_once_make_a_schema_each(tmp_path: Path, server: Server) -> None:
    """Alembic works on global names; each target has a thread."""
    schemas = ("first", "second", "third", "fourth")
    office = Office(tmp_path, publish={name: {"url": server.url(), "schema": name} for name in schemas})
    assert [run.problem for run in office.run("publish")] == [""] * 4
    with server.connect() as conn:
        found = conn.execute("SELECT schemaname FROM pg_tables WHERE tablename = 'syncer_version'").fetchall()
    assert {(name,) for name in schemas} <= set(found)
    office.close()


def test_a_copy_ahead_of_a_mirror_that_was_put_back_in_mid_pass(busy: Published) -> None:
    """The backup was made while a pass ran, so that it knows what the pass called its result."""
    busy.own("UPDATE publish_targets SET next_token = 'that pass'")
    busy.there("UPDATE syncer_position SET token = 'that pass', mark = mark + 50, seq = seq + 50")
    busy.sql("UPDATE telecmi_contacts SET company = 'Acme' WHERE id = 1")
    publish_equal(busy, person=False)


def test_two_sites_share_a_schema(tmp_path: Path, server: Server) -> None:
    sites = {}
    for site in ("chennai", "pune"):
        (tmp_path / site).mkdir()
        sites[site] = Published(tmp_path / site, server, schema="shared", target={"site": site})
        sites[site].world.seed(contacts=5, seed=len(site))
        sites[site].run("telecmi-contacts")
    for _ in range(2):
        for one in sites.values():
            publish(one)
    for site, one in sites.items():
        assert_equal(one, site)
    publish(sites["pune"], full=True)
    assert_equal(sites["chennai"], "chennai")
    for one in sites.values():
        one.close()


def test_one_site_has_one_source(tmp_path: Path, server: Server) -> None:
    offices = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        offices.append(Published(tmp_path / name, server, schema="taken"))
    first, second = offices
    first.world.seed(contacts=3, seed=1)
    first.run("telecmi-contacts")
    publish(first)
    [refused] = second.run("publish", person=False)
    assert refused.outcome == "failed" and "published from another database" in refused.problem
    assert_equal(first)
    publish_equal(second, full=True)
    [refused] = first.run("publish")
    assert "give one of them another `site`" in refused.problem
    [spec] = registry.select(registry.specs(first.settings), ["publish"], None)
    with pytest.raises(RejectedError, match="published from another database"):
        asyncio.run(verify(first.settings, spec, no_progress))
    for one in offices:
        one.close()


def test_a_migration_of_the_mirror_compares_everything(busy: Published) -> None:
    busy.own("UPDATE publish_targets SET revision = '0007'")
    busy.there("UPDATE telecmi_contacts SET company = 'Elsewhere' WHERE id = 1")
    publish_equal(busy)


def test_a_target_that_leaves_the_config_leaves_nothing_behind(busy: Published) -> None:
    settings = busy.settings
    register(busy.db, dataclasses.replace(settings, targets=()))
    busy.sql("UPDATE telecmi_contacts SET company = 'Quiet' WHERE id = 1")
    assert busy.sql("SELECT count(*) FROM publish_marks") == [(0,)]
    register(busy.db, settings)
    publish_equal(busy)


def test_the_schema_is_what_the_tables_say(server: Server, office: Published) -> None:
    from syncer.store.publish.tables import PUBLISHED

    publish(office)
    for published in PUBLISHED.values():
        found = dict(
            office.there(
                "SELECT a.attname, format_type(a.atttypid, NULL) FROM pg_attribute a "
                "WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0",
                published.name,
            )
        )
        expected = {name: kind.value for name, kind in zip(published.columns, published.kinds, strict=True)}
        shown = {
            name: kind.replace("timestamp with time zone", "timestamptz") for name, kind in found.items()
        }
        assert shown == {"site": "text", **expected}, published.name
    files = (migrations.migrations_folder() / "publish" / "versions").glob("0*.py")
    assert sorted(path.name[:4] for path in files) == list(schema.REVISIONS)


def test_a_migration_of_the_copy_keeps_its_rows_rights_and_views(
    busy: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy.there("CREATE VIEW mine AS SELECT name FROM contacts")
    busy.there("GRANT SELECT ON contacts TO limited")
    scripts = tmp_path / "scripts"
    shutil.copytree(migrations.migrations_folder(), scripts)
    (scripts / "publish" / "versions" / "9999_more.py").write_text(
        f'from alembic import op\nrevision = "9999"\ndown_revision = "{schema.HEAD}"\n'
        "branch_labels = depends_on = None\n\n\n"
        'def upgrade():\n    op.get_bind().exec_driver_sql("ALTER TABLE telecmi_notes ADD COLUMN more text")\n'
    )
    monkeypatch.setattr(migrations, "migrations_folder", lambda: scripts)
    monkeypatch.setattr(schema, "REVISIONS", (*schema.REVISIONS, "9999"))
    monkeypatch.setattr(schema, "HEAD", "9999")
    busy.world.voicemail_insert(None, ASHA)
    busy.run("telecmi-voicemails", "publish")
    assert busy.there("SELECT version_num FROM syncer_version") == [("9999",)]
    assert busy.there("SELECT count(more) FROM telecmi_notes") == [(0,)]
    assert busy.there("SELECT count(*) > 0 FROM mine") == [(True,)]
    assert busy.there(f"SELECT has_table_privilege('limited', '{busy.schema}.contacts', 'SELECT')") == [
        (True,)
    ]
    assert_equal(busy)


def test_a_dry_run_publishes_nothing(busy: Published) -> None:
    busy.sql("UPDATE telecmi_contacts SET company = 'Acme Example' WHERE id = 1")
    before = written(busy)
    chosen = registry.select(registry.specs(busy.settings), ["publish"], None)
    [planned] = asyncio.run(jobs.dry_run(busy.settings, chosen, clock=busy.clock))
    assert planned.lines == ["would publish what changed to publish.central"]
    assert written(busy) == before


def test_a_database_that_cannot_hold_every_name_is_refused(tmp_path: Path, server: Server) -> None:
    with server.connect("postgres") as conn:
        conn.execute("CREATE DATABASE narrow ENCODING 'LATIN1' TEMPLATE template0")
    office = Published(tmp_path, server, target={"url": server.url(database="narrow")})
    [run] = office.run("publish")
    assert "has the encoding LATIN1" in run.problem and jobs.exit_code([run]) == 78
    office.close()
