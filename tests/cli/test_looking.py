"""`status`, `voicemails`, `db`, `doctor` and `init`: what they say, and with which exit code."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from syncer.cli.doctor import check_folder
from syncer.config import example_text
from tests.cli.conftest import Syncer, Upstream

# -- status --------------------------------------------------------------------------------------------


def test_status_before_anything_ran(empty: Syncer) -> None:
    status = empty.ok("status", "--json").json
    assert [job["outcome"] for job in status["jobs"]] == [None] * 5
    assert all(job["stale"] and job["age_s"] is None for job in status["jobs"])
    assert status["schema"] is None and set(status["queue"].values()) == {0}
    assert "never" in empty.ok("status").out
    assert not empty.database.exists()


def test_status_after_a_sync(syncer: Syncer) -> None:
    done = syncer.process("status", "--json")
    assert done.code == 0 and done.err == ""
    status = done.json
    assert status["database"] == str(syncer.database) and status["schema"]
    wanted = {"job", "account", "last_ok_at", "age_s", "every_s", "stale", "last_complete_at", "outcome"}
    assert all(wanted | {"error", "failures", "paused_until"} <= set(job) for job in status["jobs"])
    assert {job["outcome"] for job in status["jobs"]} == {"ok"}
    assert status["held"] == [] and status["conflicts"] == 0
    assert "ago (" in syncer.ok("status").out


def test_status_shows_how_it_knows(syncer: Syncer) -> None:
    status = syncer.ok("status", "--json").json
    by_job = {job["job"]: job for job in status["jobs"]}
    known = {"listing", "notes", "complete", "set_aside", "held", "unknown", "updated_after_honoured"}
    assert all(known <= set(job) for job in by_job.values())
    assert [by_job[name]["complete"] for name in ("telecmi-contacts", "telecmi-push")] == [True, None]
    voicemails = by_job["telecmi-voicemails"]
    assert (voicemails["gaps"], voicemails["unread_s"], voicemails["time_shift_minutes"]) == ([], 0, None)
    shown = syncer.ok("status", "--evidence").out
    assert "complete: 30 rows on 1 page, 30 different, 0 unreadable; counted 30 at the start" in shown
    assert "complete (smartflo_contact_groups): 3 rows" in shown


def test_status_says_how_far_a_catch_up_is(syncer: Syncer) -> None:
    syncer.as_program("DELETE FROM windows WHERE start_ms < (SELECT max(start_ms) FROM windows)")
    shown = syncer.ok("status").out
    assert "catching up, newest first: " in shown and "d are not read yet" in shown
    assert "not read yet: 20" in shown


@pytest.mark.parametrize(
    ("requirement", "holds"),
    [
        ("telecmi-voicemails<1h", True),
        ("telecmi-voicemails < 1h", True),
        ("telecmi-push.main<1h", True),
        ("telecmi-push.telecmi.main<1h", True),
        ("smartflo-contacts<1d", True),
        ("telecmi-contacts<1s", False),
    ],
)
def test_requirements(syncer: Syncer, requirement: str, holds: bool) -> None:
    if not holds:
        syncer.as_program(
            "UPDATE sync_jobs SET last_ok_at = '2026-01-01T00:00:00.000Z' WHERE job = 'telecmi-contacts'",
        )
    done = syncer("status", "--json", "--require", requirement, "--require", "telecmi-voicemails<1h")
    assert done.code == (0 if holds else 1)
    assert done.json["requirements"][0]["holds"] is holds
    assert (requirement in done.err) is not holds


def test_a_requirement_on_what_never_ran_does_not_hold(empty: Syncer) -> None:
    done = empty("status", "--require", "telecmi-voicemails<15m")
    assert done.code == 1 and "never succeeded" in done.err
    empty.write_config('voicemails = { since = "3d" }', "voicemails = { enabled = false }")
    done = empty("status", "--require", "telecmi-voicemails<15m")
    assert done.code == 1 and "disables it" in done.err


@pytest.mark.parametrize("ahead", ["+60 days", "+330 minutes", "+366 days"])
def test_a_good_run_that_is_dated_ahead_proves_no_freshness(syncer: Syncer, ahead: str) -> None:
    syncer.as_program(f"UPDATE sync_jobs SET last_ok_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '{ahead}')")
    done = syncer("status", "--json", "--require", "telecmi-contacts<15m", "--require", "telecmi-push<800d")
    assert done.code == 1
    assert [one["holds"] for one in done.json["requirements"]] == [False, False]
    assert all(job["stale"] and job["age_s"] < 0 for job in done.json["jobs"])
    assert done.json["jobs"][0]["stale"] == bool(syncer.sql("SELECT stale FROM sync_health")[0][0])
    assert "dated" in done.err and "in the future" in done.err
    shown = syncer.ok("status").out
    assert "fresh" not in shown and "in the future, by a clock that was wrong" in shown


@pytest.mark.parametrize("ahead", ["+60 days", "+366 minutes"])
def test_a_pause_that_is_dated_ahead_is_over(syncer: Syncer, ahead: str) -> None:
    syncer.as_program(f"UPDATE sync_jobs SET paused_until = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '{ahead}')")
    done = syncer.ok("status", "--json")
    assert [job["paused_until"] for job in done.json["jobs"]] == [None] * 5
    assert "pauses until" not in syncer.ok("status").out


def test_a_failing_or_paused_job_is_reported(syncer: Syncer) -> None:
    syncer.write_config('secret = "sandbox-secret"', 'secret = "wrong"')
    assert syncer("sync", "telecmi-voicemails").code == 77
    until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    syncer.as_program(f"UPDATE sync_jobs SET paused_until = '{until}' WHERE job = 'telecmi-push'")
    out = syncer.ok("status").out
    assert "telecmi-voicemails of main: failed" in out and "pauses" in out
    jobs = {job["job"]: job for job in syncer.ok("status", "--json").json["jobs"]}
    assert jobs["telecmi-voicemails"]["outcome"] == "failed" and jobs["telecmi-voicemails"]["failures"] == 1
    assert jobs["telecmi-push"]["paused_until"] == until


# -- voicemails ----------------------------------------------------------------------------------------


def test_voicemails_have_the_callers_name(syncer: Syncer) -> None:
    listed = syncer.ok("voicemails", "list", "--json").json
    columns = {name for _, name, *_ in syncer.sql("PRAGMA table_info(telecmi_voicemails)")}
    assert len(listed) == syncer.one("SELECT count(*) FROM telecmi_voicemails")
    assert all(set(one) == columns | {"caller_name", "caller_company"} for one in listed)
    stamps = [one["received_at"] for one in listed]
    assert stamps == sorted(stamps, reverse=True)
    unknown = syncer.ok("voicemails", "list", "--json", "--unknown").json
    assert [one["id"] for one in unknown] == [one["id"] for one in listed if one["caller_name"] is None]
    assert len(syncer.ok("voicemails", "list", "--json", "--limit", "1").json) == min(1, len(listed))
    assert syncer.ok("voicemails", "list", "--json", "--since", "1s").json == []
    assert syncer.ok("voicemails", "list", "--json", "--since", "2020-01-01").json == listed
    assert "voicemail" in syncer.ok("voicemails", "list").out
    assert syncer("voicemails", "list", "--account", "smartflo.main").code == 2


# -- db ------------------------------------------------------------------------------------------------


def test_upgrade_makes_a_sound_database(empty: Syncer) -> None:
    assert "schema" in empty.ok("db", "upgrade").out
    assert "is intact" in empty.ok("db", "check").out
    assert stat.S_IMODE(empty.database.stat().st_mode) == 0o600
    assert empty.ok("db", "check", "--json").json["findings"] == []


def test_check_finds_problems_and_upgrade_restores_triggers(syncer: Syncer) -> None:
    syncer.sql("DROP TRIGGER telecmi_contacts_after_update")
    syncer.sql("DROP VIEW voicemails")
    done = syncer("db", "check")
    assert done.code == 1 and "telecmi_contacts_after_update" in done.out and "voicemails" in done.out
    syncer.ok("db", "upgrade")
    syncer.ok("db", "check")
    syncer.as_program(
        "DELETE FROM contact_base WHERE row_id = 3",
        "INSERT INTO contact_base (row_id, account, source) VALUES (9999, 'main', 'directory')",
    )
    findings = syncer("db", "check", "--json").json["findings"]
    assert any("without a base copy" in one and "(3)" in one for one in findings)
    assert any("9999" in one for one in findings)


def test_check_of_a_damaged_file(syncer: Syncer) -> None:
    syncer.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = bytearray(syncer.database.read_bytes())
    whole[8192:40960] = b"\x5a" * (40960 - 8192)
    syncer.database.write_bytes(whole)
    done = syncer("db", "check")
    assert done.code in (1, 78) and "Traceback" not in done.err


def test_backup_is_a_whole_copy_and_never_overwrites(syncer: Syncer, tmp_path: Path) -> None:
    target = tmp_path / "it's a copy.db"
    syncer.ok("db", "backup", str(target))
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    again = syncer("db", "backup", str(target))
    assert again.code == 1 and "exists already" in again.err
    assert syncer("db", "backup", str(syncer.database)).code == 1
    copied = Syncer(syncer.folder, syncer.capsys, syncer.url)
    copied.write_config("mirror.db", str(target))
    copied.ok("db", "check")


# -- init ----------------------------------------------------------------------------------------------


def test_init_writes_a_private_config_and_never_overwrites(empty: Syncer) -> None:
    done = empty.process("init", "new.toml", config=False)
    new = empty.folder / "new.toml"
    assert done.code == 0 and new.read_text() == example_text()
    assert stat.S_IMODE(new.stat().st_mode) == 0o600
    before = empty.config.read_text()
    again = empty.process("init", config=False)
    assert again.code == 1 and "exists already" in again.err and empty.config.read_text() == before
    empty.config.unlink()
    assert empty.process("init", config=False).code == 0 and empty.config.exists()


# -- doctor --------------------------------------------------------------------------------------------


def test_doctor_with_all_well(syncer: Syncer) -> None:
    done = syncer.process("doctor")
    assert done.code == 0 and done.err == "", done.out
    assert "problem" not in done.out and "All is well" in done.out
    checks = ("config", "sqlite", "triggers in place", "login", "directory", "user contacts", "voicemails")
    assert [word for word in checks if word not in done.out] == []
    before = syncer.one("SELECT count(*) FROM sync_runs")
    assert before == 5  # it runs nothing


def test_doctor_before_anything_ran_makes_nothing(empty: Syncer) -> None:
    empty.ok("doctor")
    assert not empty.database.exists()


@pytest.mark.parametrize(
    ("old", "new", "account", "fix"),
    [
        ('secret = "sandbox-secret"', 'secret = "wrong"', "telecmi.main", "check app_id and secret below"),
        ('password = "sandbox-password"', 'password = "wrong"', "telecmi.main", "check user_id and password"),
        ('token = "sandbox-token"', 'token = "wrong"', "smartflo.main", "check token below [smartflo.main]"),
        ('password = "sandbox-password"', 'password = "..."', "telecmi.main", "write the real one"),
        ('secret = "sandbox-secret"', 'secret = "..."', "telecmi.main", "or remove the key"),
        (
            'token = "sandbox-token"',
            'token = "..."',
            "smartflo.main",
            "or remove the section if you do not use",
        ),
    ],
)
def test_doctor_exits_77_for_credentials(empty: Syncer, old: str, new: str, account: str, fix: str) -> None:
    empty.write_config(old, new)
    done = empty("doctor")
    assert done.code == 77
    assert f"problem  {account}" in done.out and fix in done.out and "wrong" not in done.out
    other = "smartflo.main" if account == "telecmi.main" else "telecmi.main"
    assert f"problem  {other}" not in done.out


def test_doctor_finds_local_problems(syncer: Syncer) -> None:
    syncer.config.chmod(0o644)
    syncer.sql("DROP TRIGGER telecmi_contacts_after_update")
    done = syncer("doctor")
    assert done.code == 1
    assert "warning  config" in done.out and "chmod 600" in done.out
    assert "syncer db upgrade" in done.out
    findings = syncer("doctor", "--json").json["findings"]
    assert all(set(one) == {"level", "about", "text", "mend", "credentials"} for one in findings)
    levels = {one["level"] for one in findings}
    assert {"ok", "warning", "problem"} <= levels


def test_doctor_reports_a_blocking_writer(syncer: Syncer) -> None:
    with closing(sqlite3.connect(syncer.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        done = syncer("doctor")
        other.execute("ROLLBACK")
    assert done.code == 1 and "has begun to write and does not end" in done.out and "fuser -v" in done.out
    before = syncer.one("SELECT count(*) FROM change_log")
    syncer.ok("doctor")
    assert syncer.one("SELECT count(*) FROM change_log") == before


def test_doctor_checks_the_database_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert [one.level for one in check_folder(tmp_path / "x.db")] == ["ok"]
    assert [one.level for one in check_folder(tmp_path / "new" / "sub" / "x.db")] == ["ok"]
    assert [one.level for one in check_folder(tmp_path / "file" / "x.db")] == ["problem"]


def test_doctor_notices_a_clock_and_odd_answers(upstream: Upstream) -> None:
    world, syncer = upstream.world, upstream.syncer
    world.settings.change({"telecmi.date_header": 300.0})
    done = syncer.ok("doctor")
    assert "warning  telecmi.main: the clock of this machine is 5 min behind the vendor's" in done.out
    world.faults.add({"path": "/v3/contact/get", "kind": "html200", "times": 100})
    done = syncer("doctor")
    assert done.code == 1
    assert "proxy's" in done.out


def test_doctor_of_a_vendor_that_is_not_there(empty: Syncer) -> None:
    empty.url = "http://127.0.0.1:9"
    empty.write_config()
    done = empty("doctor")
    assert done.code == 1 and "127.0.0.1, port 9, refuses the connection" in done.out


def test_doctor_does_not_advise_what_is_on_already(syncer: Syncer) -> None:
    advice = "switch on [backup]"
    assert advice in syncer.ok("doctor").out
    syncer.config.write_text(syncer.config.read_text() + "\n[backup]\nenabled = true\n")
    done = syncer.ok("doctor")
    assert advice not in done.out and "a newer SQLite fixes it" in done.out


EMPTY = "the credentials are accepted but the account looks empty"


def test_doctor_notices_an_account_that_works_and_is_empty(upstream: Upstream) -> None:
    """As on the vendor's other platform, which takes the same credentials."""
    syncer, world = upstream.syncer, upstream.world
    assert EMPTY not in syncer.ok("doctor").out
    for voicemail in list(world.org().voicemails):
        world.voicemail_delete(voicemail.voicename)
    assert EMPTY not in syncer.ok("doctor").out, "it has contacts"
    world.contact_delete_share(1.0)
    world.user().contacts.clear()
    done = syncer.ok("doctor")
    advice = "check in the dashboard which platform it is on, and `base_url`"
    assert f"warning  telecmi.main: {EMPTY}; {advice}" in done.out
    world.voicemail_insert(round(world.now() * 1000) - 2 * 86_400_000, 919_200_000_001)
    assert EMPTY not in syncer.ok("doctor").out, "a voicemail of two days ago"


def test_doctor_calls_no_account_empty_whose_lists_fail(upstream: Upstream) -> None:
    upstream.world.faults.add({"path": "/v3/contact/get", "kind": "html200", "times": 100})
    upstream.world.faults.add({"path": "/v2/user/contact/get", "kind": "html200", "times": 100})
    for voicemail in list(upstream.world.org().voicemails):
        upstream.world.voicemail_delete(voicemail.voicename)
    done = upstream.syncer("doctor")
    assert done.code == 1 and EMPTY not in done.out


@pytest.mark.parametrize("value", ["socks5://asha:planted-secret@proxy.example", "junk planted-secret"])
def test_doctor_names_a_proxy_variable_that_cannot_be_used(
    empty: Syncer, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty.url = "https://vendor.example"
    empty.write_config()
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", value)
    done = empty("doctor")
    assert done.code == 78 and "ALL_PROXY in the environment" in done.out and done.err == ""
    findings = empty("doctor", "--json").json["findings"]
    assert [one["level"] for one in findings if "ALL_PROXY" in one["text"]] == ["problem"]
    synced = empty("sync")
    assert synced.code == 78 and "ALL_PROXY in the environment" in synced.err
    assert "planted-secret" not in done.out + synced.out + synced.err
    assert empty("queue", "list").code in (0, 1)  # what calls no vendor is not disturbed
