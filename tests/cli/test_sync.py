"""`sync`, `sandbox` and `demo`: what they print, where, and how they end."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import tomllib
import urllib.request

import pytest

from syncer.sync.registry import RESOURCES
from tests.cli.conftest import ROOT, Syncer, Upstream


def test_sync_prints_one_line_per_job(syncer: Syncer) -> None:
    done = syncer.process("sync")
    assert done.code == 0 and done.err == ""  # no progress where nobody watches
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "job",
        *(one.job for one in RESOURCES if not one.optional),
    ]
    assert lines[0].split()[2:] == ["outcome", "seen", "added", "changed", "removed", "requests", "took"]
    assert [line.split()[4:7] for line in lines[1:]] == [["0", "0", "0"]] * 5


def test_sync_json_is_one_object(syncer: Syncer) -> None:
    done = syncer.ok("sync", "telecmi-push", "smartflo-contacts", "--json")
    assert [run["job"] for run in done.json["runs"]] == ["telecmi-push", "smartflo-contacts"]
    assert done.json["exit_code"] == 0 and done.json["runs"][1]["outcome"] == "ok"


def test_sync_takes_an_account_by_either_name(syncer: Syncer) -> None:
    both = syncer.ok("sync", "--account", "main", "--json").json["runs"]
    flo = syncer.ok("sync", "--account", "smartflo.main", "--json").json["runs"]
    assert (len(both), [run["job"] for run in flo]) == (5, ["smartflo-contacts"])


def test_a_dry_run_changes_nothing(upstream: Upstream) -> None:
    syncer = upstream.syncer
    syncer.sql("UPDATE telecmi_contacts SET company = 'Acme' WHERE id = 3")
    upstream.edit(5, company="Zenith")
    before = syncer.one("SELECT count(*) FROM sync_runs"), syncer.one("SELECT max(seq) FROM change_log")
    done = syncer.ok("sync", "--dry-run")
    assert "nothing was changed" in done.out and "telecmi-contacts of main" in done.out
    assert re.search(r"1 row of telecmi_contacts|change 1 row", done.out)
    plans = syncer.ok("sync", "--dry-run", "--json").json["plans"]
    assert {plan["job"]: bool(plan["lines"]) for plan in plans}["telecmi-push"]
    assert (
        syncer.one("SELECT count(*) FROM sync_runs"),
        syncer.one("SELECT max(seq) FROM change_log"),
    ) == before
    assert upstream.contact(3)["company"] != "Acme"


def test_a_failure_is_reported_with_what_to_do(upstream: Upstream) -> None:
    upstream.world.faults.add({"path": "/v2/voicemail", "kind": "html200", "times": 100})
    upstream.world.faults.add({"path": "/v3/contact/get", "kind": "http", "status": 503, "times": 100})
    done = upstream.syncer("sync", "telecmi-voicemails", "telecmi-contacts")
    assert done.code == 1
    assert "telecmi-voicemails of main is incomplete: " in done.out and "What to do" in done.out
    assert "telecmi-contacts of main failed: " in done.out
    assert "Traceback" not in done.err


def test_a_dry_run_reports_refused_credentials(empty: Syncer) -> None:
    empty.write_config('secret = "sandbox-secret"', 'secret = "wrong"')
    done = empty("sync", "--dry-run", "telecmi-voicemails")
    assert done.code == 77 and not empty.database.exists()


def test_the_sandbox_prints_a_config_that_works_and_nothing_else(empty: Syncer) -> None:
    process = empty.start("sandbox", "--contacts", "3", "--voicemails", "2", "--smartflo", "2", config=False)
    assert process.stdout is not None and process.stderr is not None
    said = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
    assert said is not None
    url = said[0]
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        f"{url}/_sandbox/", timeout=5
    ) as answer:
        assert answer.status == 200
    port = url.rpartition(":")[2]
    taken = empty.process("sandbox", "--port", port, config=False)
    assert taken.code == 1 and f"port {port} cannot be used" in taken.err and len(taken.err.splitlines()) == 1
    process.terminate()
    rest = process.stdout.read()
    assert process.wait(20) == 0
    config = tomllib.loads(rest)
    assert config["telecmi"]["main"]["base_url"] == url
    empty.config.write_text(rest)
    empty.ok("status")


def test_the_demo_works_and_so_do_its_suggestions(empty: Syncer) -> None:
    """Also if `syncer` is not on the PATH, as after `make demo`, and whatever credentials the environment has."""
    path = {"PATH": "/usr/bin:/bin"}
    empty.env |= path | {"TMPDIR": str(empty.folder), "SYNCER_TELECMI_MAIN_SECRET": "somebody's"}
    done = empty.process("demo", config=False)
    assert done.code == 0 and done.err == "", done.err
    out, _, tail = done.out.partition("the mirror stays:")
    assert "0 written; 0 new entries in change_log." in out
    assert 'POST /v3/contact/update {"contacts": [{"contact_id": "' in out
    assert "company = 'Acme Example'" in out and "job_title = 'Head of Sales'" in out
    assert (
        "gone upstream" in out
        and '"type": "missed-call"' in out
        and "the next run fetched it again" in out
        and len(out.splitlines()) < 120
    )
    url = re.search(r"http://127\.0\.0\.1:\d+", out)
    assert url is not None
    with pytest.raises(OSError):  # the sandbox has ended
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url[0], timeout=2)

    lines = [line.strip() for line in tail.splitlines()]
    commands = [line for line in lines if " --config " in line or line.startswith("sqlite3 ")]
    commands += [line.partition(": ")[2] for line in lines if line.startswith("Remove it with: rm ")]
    assert len(commands) == 8 and commands[-1].startswith("rm ")
    for command in commands:
        if command.startswith("sqlite3 ") and not os.access("/usr/bin/sqlite3", os.X_OK):
            continue
        run = subprocess.run(
            command, shell=True, cwd=ROOT, env=os.environ | path, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, (command, run.stderr)
        assert run.stdout or command.startswith("rm "), command


def test_run_is_the_daemon_until_sigterm(syncer: Syncer) -> None:
    process = syncer.start("--log-level", "info", "run")
    assert process.stderr is not None
    assert process.stderr.readline()  # it logs to stderr as soon as it is up
    process.terminate()
    out, err = process.communicate(timeout=40)
    assert process.returncode == 0 and out == "" and "Traceback" not in err


def test_run_with_a_wrong_config_exits_78(empty: Syncer) -> None:
    empty.config.write_text("[telecmi.main]\n")
    done = empty.process("run")
    assert done.code == 78 and "telecmi.main" in done.err


def on_a_terminal(syncer: Syncer, *args: str) -> str:
    """What a person sees: stdout and stderr are one terminal."""
    ours, theirs = pty.openpty()
    process = syncer.start(*args, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    try:
        while part := os.read(ours, 4096):
            seen += part
    except OSError:  # Linux ends the reading of a terminal that nobody writes to any more so
        assert process.wait(20) == 0
    os.close(ours)
    return seen.decode()


def test_on_a_terminal_there_are_progress_bars(upstream: Upstream) -> None:
    upstream.syncer.env |= {"TERM": "xterm", "COLUMNS": "120"}
    seen = on_a_terminal(upstream.syncer, "sync")
    assert "20/20" in seen and "outcome" in seen
    assert "telecmi-user-contacts" in seen


@pytest.mark.parametrize("columns", ["120", "80", "40"])
def test_a_table_loses_nothing_on_a_narrow_terminal(syncer: Syncer, columns: str) -> None:
    syncer.env |= {"TERM": "xterm", "COLUMNS": columns}
    seen = re.sub(r"\x1b\[[0-9;]*m|\s", "", on_a_terminal(syncer, "sync", "telecmi-push"))
    assert "telecmi-push" in seen and "removed" in seen and "requests" in seen
