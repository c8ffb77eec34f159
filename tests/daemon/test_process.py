"""The daemon as a process: readiness, edits, signals, a second one, a kill, a new config."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import signal
import socket
import sqlite3
import stat
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import httpx
import pytest

from tests.daemon.conftest import Daemon, Manager, Sandbox, free_port, until

CONTACT = "SELECT contact_id FROM telecmi_contacts WHERE id = ?"


def test_ready_works_and_ends_well(daemon: Daemon, sandbox: Sandbox, manager: Manager) -> None:
    daemon.database.unlink()
    process = daemon.start(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="2000000")
    until(lambda: manager.heard("READY=1"), "READY=1")
    # Only now: the tables are there, the jobs are written down.
    assert len(daemon.query("SELECT * FROM sync_jobs")) == 5
    daemon.wait_for_first_round()
    assert set(daemon.outcomes().values()) == {"ok"}, daemon.text()
    until(lambda: manager.heard("STATUS=all 5 jobs are healthy"), "a status in plain words")
    assert len(daemon.query("SELECT * FROM telecmi_contacts WHERE contact_id IS NOT NULL")) == len(
        sandbox.contacts()
    )

    contact = daemon.query(CONTACT, 3)[0][0]
    sandbox.calm()
    daemon.edit("UPDATE telecmi_contacts SET company = 'X Traders' WHERE id = 3")
    began = time.monotonic()
    until(lambda: sandbox.company(contact) == "X Traders", "the edit upstream", 5.0)
    assert time.monotonic() - began < 5.0
    assert len(sandbox.calls("/v3/contact/update")) == 1
    until(lambda: daemon.query("SELECT state FROM change_queue") == [("done",)], "the change done")

    beats = len(manager.heard("WATCHDOG=1"))
    until(lambda: len(manager.heard("WATCHDOG=1")) > beats + 1, "signs of life")

    code, seconds = daemon.end(process)
    assert code == 0, daemon.text()
    assert seconds < 10
    assert manager.heard("STOPPING=1") == ["STOPPING=1"]
    made = [path for path in daemon.folder.rglob("*") if path.name.startswith("syncer.db")]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in made}
    assert {name: mode for name, mode in modes.items() if mode not in (0o600, 0o700)} == {}
    assert modes["syncer.db.locks"] == 0o700 and modes["syncer.db.tokens"] == 0o600
    assert daemon.query("SELECT count(*) FROM sync_runs WHERE finished_at IS NULL") == [(0,)]
    assert daemon.query("PRAGMA integrity_check") == [("ok",)]
    assert [one for one in daemon.events() if one["level"] in ("error", "warning")] == []
    for secret in ("sandbox-secret", "sandbox-password", "sandbox-token", "sandbox-user-token"):
        assert secret not in daemon.text()


def test_a_second_daemon_is_refused_with_the_process_of_the_first(daemon: Daemon) -> None:
    first = daemon.start()
    until(lambda: daemon.said("started"), "the first")
    second = daemon.start()
    assert second.wait(15) == 75
    refusal = next(one for one in daemon.events() if one["level"] == "error")["event"]
    assert f"process {first.pid}" in refusal
    assert "the daemon" in refusal
    assert first.poll() is None
    assert daemon.end(first, signal.SIGINT)[0] == 0


def test_the_next_start_repairs_what_a_kill_leaves(daemon: Daemon, sandbox: Sandbox) -> None:
    sandbox.fault(kind="hang", seconds=20, match={"path": "/v3/contact/update"}, applied="after")
    process = daemon.start()
    daemon.wait_for_first_round()
    contact = daemon.query(CONTACT, 5)[0][0]
    daemon.edit("UPDATE telecmi_contacts SET company = 'Y Stores' WHERE id = 5")
    until(lambda: daemon.query("SELECT state FROM change_queue") == [("sending",)], "a push under way")
    process.kill()
    process.wait(10)
    assert daemon.query("PRAGMA integrity_check") == [("ok",)]
    sandbox.calm()
    # A lock of a dead process is nobody's: the next start needs no help.
    process = daemon.start()
    until(lambda: daemon.query("SELECT state FROM change_queue") == [("done",)], "mended")
    assert sandbox.company(contact) == "Y Stores"
    assert daemon.query("SELECT count(*) FROM sync_runs WHERE error LIKE '%stopped before%'")[0][0] >= 1
    assert daemon.end(process)[0] == 0


def removed(copy: Path, database: Path) -> None:
    database.unlink()


def moved(copy: Path, database: Path) -> None:
    copy.replace(database)


def copied(copy: Path, database: Path) -> None:
    shutil.copyfile(copy, database)


@pytest.mark.parametrize("swap", [removed, moved, copied])
def test_a_database_that_is_swapped_under_the_daemon_ends_it(
    daemon: Daemon, swap: Callable[[Path, Path], None]
) -> None:
    """Else it would go on for years, writing into a file that nobody sees. What was put there stays as it is."""
    process = daemon.start()
    daemon.wait_for_first_round()
    copy = daemon.folder / "copy.db"
    daemon.query(f"VACUUM INTO '{copy}'")
    daemon.edit(f"UPDATE telecmi_contacts SET company = 'Later {swap.__name__}' WHERE id = 5")
    until(lambda: daemon.query("SELECT state FROM change_queue") == [("done",)], "the push")
    with contextlib.closing(sqlite3.connect(copy)) as there:
        contacts = there.execute("SELECT id, company FROM telecmi_contacts").fetchall()
    swap(copy, daemon.database)
    assert process.wait(15) == 1
    [told] = [one["event"] for one in daemon.events() if one["level"] == "error"]
    assert (
        "was removed or replaced while it was in use; its old log was put aside as syncer.db-wal.replaced-"
        in told
    )
    assert "The daemon ends" in told
    if swap is removed:
        assert not daemon.database.exists()
    else:
        assert daemon.query("PRAGMA integrity_check") == [("ok",)]
        assert daemon.query("SELECT id, company FROM telecmi_contacts") == contacts


def test_an_edit_is_not_lost_where_the_log_was_removed_under_the_daemon(
    daemon: Daemon, sandbox: Sandbox
) -> None:
    process = daemon.start()
    daemon.wait_for_first_round()
    contact = daemon.query(CONTACT, 5)[0][0]
    for suffix in ("-wal", "-shm"):
        (daemon.folder / f"syncer.db{suffix}").unlink()
    assert process.wait(15) == 1
    [told] = [one["event"] for one in daemon.events() if one["level"] == "error"]
    assert "the log (syncer.db-wal, syncer.db-shm) of the database syncer.db was removed or replaced" in told
    daemon.edit("UPDATE telecmi_contacts SET company = 'Kept Example' WHERE id = 5")
    process = daemon.start()
    until(lambda: sandbox.company(contact) == "Kept Example", "the push")
    assert daemon.end(process)[0] == 0


def test_sigterm_does_not_wait_for_a_vendor_that_hangs(daemon: Daemon, sandbox: Sandbox) -> None:
    sandbox.fault(kind="hang", seconds=30, times=100)
    process = daemon.start()
    until(lambda: daemon.query("SELECT * FROM sync_runs WHERE finished_at IS NULL"), "a run under way")
    process.send_signal(signal.SIGHUP)  # nor for a reload that waits for it
    code, seconds = daemon.end(process)
    assert code == 0, daemon.text()
    assert seconds < 10
    assert daemon.query("SELECT count(*) FROM sync_runs WHERE finished_at IS NULL") == [(0,)]


def test_sigterm_does_not_wait_for_a_program_that_holds_the_database(daemon: Daemon) -> None:
    process = daemon.start()
    daemon.wait_for_first_round()
    with sqlite3.connect(daemon.database, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        code, seconds = daemon.end(process)
        other.execute("ROLLBACK")
    other.close()
    assert code == 0
    assert seconds < 10
    assert daemon.query("PRAGMA integrity_check") == [("ok",)]


def test_sighup_takes_a_good_config_and_keeps_the_old_one_from_a_bad_one(
    daemon: Daemon, manager: Manager
) -> None:
    port = free_port()
    process = daemon.start(NOTIFY_SOCKET=manager.address)
    until(lambda: manager.heard("READY=1"), "READY=1")

    daemon.config.write_text(daemon.config.read_text() + "\n[https]\nlisten = 5\n")
    process.send_signal(signal.SIGHUP)
    bad = until(lambda: daemon.said("the old config stays"), "the bad config told")
    assert "https" in bad[0]["problem"]
    until(lambda: len(manager.heard("READY=1")) == 2, "READY=1 again")
    reloading, stamp = manager.heard("RELOADING=1"), manager.heard("MONOTONIC_USEC=")
    assert len(reloading) == len(stamp) == 1
    assert abs(int(stamp[0].partition("=")[2]) / 1e6 - time.monotonic()) < 30
    assert process.poll() is None

    daemon.configure(extra=f'[http]\nlisten = "127.0.0.1:{port}"\n', push_every="7m")
    process.send_signal(signal.SIGHUP)
    until(lambda: daemon.said("is in force"), "the good config")
    assert daemon.query("SELECT every_s FROM sync_jobs WHERE job = 'telecmi-push'") == [(420,)]
    until(lambda: httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200, "well on the new page")

    # The same address for other hosts, as a doorbell behind a proxy needs it: the pages' own socket is not in the way.
    url, proxied = f"http://127.0.0.1:{port}/healthz", {"Host": "ring.example.com"}
    assert httpx.get(url, headers=proxied).status_code == 400
    daemon.configure(
        extra=f'[http]\nlisten = "127.0.0.1:{port}"\nhosts = ["127.0.0.1", "ring.example.com"]\n'
    )
    process.send_signal(signal.SIGHUP)
    until(lambda: daemon.said("is in force")[1:], "the new hosts")
    assert httpx.get(url, headers=proxied).status_code == 200

    daemon.configure(push_every="9m")
    with daemon.config.open("a") as config:
        config.write('[backup]\npath = "elsewhere"\n')
    text = daemon.config.read_text().replace("syncer.db", "other.db")
    daemon.config.write_text(text)
    process.send_signal(signal.SIGHUP)
    until(lambda: daemon.said("the old config stays")[1:], "another database is no reload")
    assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    assert daemon.end(process)[0] == 0


class Calls(http.server.BaseHTTPRequestHandler):
    """A monitoring service that notes who calls."""

    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.seen.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def monitor() -> Iterator[str]:
    Calls.seen.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Calls)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/invented-key"
    server.shutdown()
    server.server_close()


def test_healthz_metrics_and_the_ping(daemon: Daemon, sandbox: Sandbox, monitor: str) -> None:
    port = daemon.serve(f'[monitor]\nping_url = "{monitor}"\n')
    sandbox.fault(kind="http", status=400, times=1000, match={"path": "/v1/contacts"})
    process = daemon.start()
    base = f"http://127.0.0.1:{port}"
    until(lambda: daemon.said("serving"), "the pages")
    until(lambda: len(daemon.outcomes()) == 5, "a first round")
    assert daemon.outcomes()["smartflo-contacts"] != "ok"
    sick = httpx.get(f"{base}/healthz")
    assert sick.status_code == 503
    assert sick.json()["reasons"] == ["smartflo-contacts of smartflo.main has not succeeded yet"]
    assert Calls.seen == []  # one of five is unhealthy: silence, which is the alarm
    sandbox.calm()
    daemon.end(process)
    process = daemon.start()
    until(lambda: Calls.seen == ["/invented-key"], "the ping")
    assert "invented-key" not in daemon.text()
    well = until(lambda: (r := _get(f"{base}/healthz")) and r.status_code == 200 and r, "all well")
    assert well.json()["status"] == "ok"
    assert len(well.json()["jobs"]) == 5

    page = httpx.get(f"{base}/metrics").text
    found = {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in page.splitlines()
        if line[0] != "#"
    }
    assert found['syncer_last_success_timestamp_seconds{account="main",job="telecmi-contacts"}'] > 1.7e9
    # True after a restart: the rows of the run before it are in here.
    assert found['syncer_rows_total{account="main",job="telecmi-contacts",kind="added"}'] >= 40
    assert found['syncer_queue_changes{account="main",state="queued"}'] == 0
    assert found['syncer_requests_total{account="main",provider="telecmi"}'] > 0
    assert found['syncer_budget_wait_seconds_total{account="main",provider="telecmi"}'] >= 0
    assert found['syncer_held{account="main",job="telecmi-contacts"}'] == 0
    for name in ("wal_bytes", "database_bytes", "disk_free_bytes", "up"):
        assert found[f"syncer_{name}"] > 0, name
    names = {contact["first_name"] for contact in sandbox.contacts()} - {""}
    assert not any(f'"{name}"' in page or name in well.text for name in names)
    assert httpx.get(f"{base}/nothing").status_code == 404

    # uvicorn did not take the signals over.
    assert daemon.end(process)[0] == 0


def _get(url: str) -> httpx.Response | None:
    try:
        return httpx.get(url)
    except httpx.TransportError:
        return None


def test_a_port_that_is_taken_is_reported(daemon: Daemon) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        daemon.configure(extra=f'[http]\nlisten = "127.0.0.1:{port}"\n')
        assert daemon.start().wait(15) == 1
    assert "cannot be used (Address already in use)" in daemon.events()[-1]["event"]


def test_a_wrong_config_ends_at_once_with_every_problem(daemon: Daemon) -> None:
    daemon.configure(extra="[nonsense]\nkey = 1\n")
    daemon.config.write_text(daemon.config.read_text().replace("500.0", '"many"'))
    assert daemon.start().wait(15) == 78
    text = daemon.text()
    assert "nonsense" in text
    assert "telecmi.main.requests_per_second" in text
    assert "Traceback" not in text


def test_refused_credentials_pause_the_login_and_nothing_else(daemon: Daemon, sandbox: Sandbox) -> None:
    daemon.configure(password="wrong-password")
    process = daemon.start()
    until(lambda: daemon.outcomes().get("telecmi-voicemails") == "ok", "voicemails: another credential")
    until(lambda: daemon.said("the credentials were refused"), "told")
    until(
        lambda: daemon.query("SELECT count(*) FROM sync_jobs WHERE paused_until IS NOT NULL") == [(3,)],
        "the pause in the record",
    )
    assert len(daemon.said("the credentials were refused")) == 1
    assert "wrong-password" not in daemon.text()
    # Corrected and reloaded: no waiting for the pause to end.
    daemon.configure()
    process.send_signal(signal.SIGHUP)
    until(lambda: daemon.outcomes().get("telecmi-contacts") == "ok", "well again")
    until(lambda: daemon.said("the credentials are accepted again"), "told")
    assert daemon.end(process)[0] == 0


def test_an_edit_that_waits_for_a_retry_goes_out_when_it_is_due(daemon: Daemon, sandbox: Sandbox) -> None:
    """Row 15: no new edit, no schedule within minutes; the time of the retry is enough."""
    process = daemon.start()
    daemon.wait_for_first_round()
    contact = daemon.query(CONTACT, 7)[0][0]
    sandbox.fault(kind="too_many", match={"path": "/v3/contact/update"}, retry_after=None)
    daemon.edit("UPDATE telecmi_contacts SET company = 'Z Works' WHERE id = 7")
    until(lambda: daemon.query("SELECT next_attempt_at FROM change_queue WHERE attempts > 0"), "a first try")
    until(lambda: sandbox.company(contact) == "Z Works", "the retry", 20.0)
    assert daemon.end(process)[0] == 0


def test_the_daemon_waits_for_a_sync(daemon: Daemon) -> None:
    """A job whose lock a person's `sync` holds is run a little later."""
    from syncer.locks import Locks

    locks = Locks(daemon.database, "a test")
    handle = locks.try_acquire("telecmi-push.main")
    assert handle is not None
    process = daemon.start()
    until(lambda: len(daemon.outcomes()) == 4, "the other jobs")
    assert "telecmi-push" not in daemon.outcomes()
    locks.release(handle)
    until(lambda: "telecmi-push" in daemon.outcomes(), "the push, once the lock is free")
    assert daemon.end(process)[0] == 0


def test_abstract_sockets_are_spoken_to(daemon: Daemon) -> None:
    manager = Manager(f"@syncer-test-{uuid.uuid4()}")
    process = daemon.start(NOTIFY_SOCKET=manager.address)
    until(lambda: manager.heard("READY=1"), "READY=1")
    assert daemon.end(process)[0] == 0
    manager.channel.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_reported(daemon: Daemon, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert daemon.start().wait(15) == 1
    tmp_path.chmod(0o700)
