"""`sync`, `sandbox` and `demo`: what they print, where, and how they end."""

from __future__ import annotations

import re
import tomllib
import urllib.request
from pathlib import Path

from tests.cli.conftest import Syncer, Upstream


def test_sync_tells_each_job_in_a_line(syncer: Syncer) -> None:
    done = syncer.process("sync")
    assert done.code == 0 and done.err == ""  # no progress where nobody watches
    lines = done.out.splitlines()
    jobs = ["telecmi-voicemails", "telecmi-contacts", "telecmi-user-contacts", "telecmi-push", "smartflo-contacts"]
    assert [line.split()[0] for line in lines] == ["job", *jobs]
    assert lines[0].split()[2:] == ["outcome", "seen", "added", "changed", "removed", "requests", "seconds"]
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
    assert (syncer.one("SELECT count(*) FROM sync_runs"), syncer.one("SELECT max(seq) FROM change_log")) == before
    assert upstream.contact(3)["company"] != "Acme"


def test_what_failed_is_told_with_what_to_do(upstream: Upstream) -> None:
    upstream.world.faults.add({"path": "/v2/voicemail", "kind": "html", "times": 100})
    done = upstream.syncer("sync", "telecmi-voicemails")
    assert done.code == 1
    assert "telecmi-voicemails of main is " in done.out and "What to do" in done.out
    assert "Traceback" not in done.err


def test_a_dry_run_tells_refused_credentials(empty: Syncer) -> None:
    empty.write_config('secret = "sandbox-secret"', 'secret = "wrong"')
    done = empty("sync", "--dry-run", "telecmi-voicemails")
    assert done.code == 77 and not empty.database.exists()


def test_the_sandbox_prints_its_address_and_a_config_that_works(empty: Syncer) -> None:
    process = empty.start("sandbox", "--contacts", "3", "--voicemails", "2", "--smartflo", "2", config=False)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{url}/_sandbox/", timeout=5) as answer:
        assert answer.status == 200
    port = url.rpartition(":")[2]
    taken = empty.process("sandbox", "--port", port, config=False)
    assert taken.code == 1 and f"port {port} cannot be used" in taken.err and len(taken.err.splitlines()) == 1
    process.terminate()
    rest, err = process.communicate(timeout=20)
    assert process.returncode == 0 and err == ""
    config = tomllib.loads(rest)
    assert config["telecmi"]["main"]["base_url"] == url
    empty.config.write_text(rest)
    empty.ok("status")


def test_the_demo_tells_its_story(empty: Syncer) -> None:
    empty.env["TMPDIR"] = str(empty.folder)
    done = empty.process("demo", config=False)
    assert done.code == 0 and done.err == "", done.err
    out = done.out
    assert "wrote 0; new entries in change_log: 0." in out
    assert 'POST /v3/contact/update {"contacts": [{"contact_id": "' in out
    assert "company = 'Acme Example'" in out and "job_title = 'Head of Sales'" in out
    assert "gone upstream" in out
    assert len(out.splitlines()) < 100
    mirror = Path(re.search(r"^  (/\S+/mirror\.db)$", out, re.MULTILINE)[1])  # type: ignore[index]
    assert mirror.exists()
    told = Syncer(mirror.parent, empty.capsys, "")
    told.ok("status")
    told.ok("db", "check")
    url = re.search(r"http://127\.0\.0\.1:\d+", out)
    assert url is not None
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url[0], timeout=2)
    except OSError:
        return
    raise AssertionError("the sandbox still runs")
