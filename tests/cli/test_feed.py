"""`log` and `forget`: the feed for programs, and the removal of a person, as they are typed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from typing import Any

from tests.cli.conftest import Syncer, Upstream


def lines(text: str) -> list[dict[str, Any]]:
    """Each line as the object that it is."""
    return [json.loads(line) for line in text.splitlines()]


def edit(syncer: Syncer, row: int, company: str) -> None:
    syncer.sql("UPDATE telecmi_contacts SET company = ? WHERE id = ?", company, row)


def test_entries_come_in_order_with_exact_values(upstream: Upstream) -> None:
    syncer = upstream.syncer
    before = syncer.one("SELECT company FROM telecmi_contacts WHERE id = 2") or ""
    last = syncer.one("SELECT max(seq) FROM change_log")
    edit(syncer, 2, "Ünder & “Söhne”")
    upstream.edit(3, company="Elsewhere Traders")
    syncer.ok("sync")
    entries = lines(syncer.ok("log", "--json", "--after", str(last)).out)
    assert [entry["seq"] for entry in entries] == [last + 1, last + 2]
    assert entries[0] | {"at": ""} == {
        "seq": last + 1, "at": "", "table_name": "telecmi_contacts", "row_id": 2, "kind": "update",
        "field": "company", "old": before or None, "new": "Ünder & “Söhne”", "origin": "local", "actor": None,
    }  # fmt: skip
    assert (entries[1]["row_id"], entries[1]["new"], entries[1]["origin"]) == (
        3,
        "Elsewhere Traders",
        "upstream",
    )
    columns = [row[1] for row in syncer.sql("PRAGMA table_info(change_log)")]
    assert list(entries[0]) == columns
    syncer.ok("sync")
    assert syncer.ok("log", "--json", "--after", str(last + 2)).out == "", "one's own edit is not a new entry"
    shown = syncer.ok("log", "--limit", "2").out
    assert (
        "  local     telecmi_contacts" in shown
        and "  upstream  telecmi_contacts" in shown
        and "-> 'Elsewhere Traders'" in shown
    )


def test_follow_prints_each_entry_once_and_ends_on_ctrl_c(syncer: Syncer) -> None:
    last = syncer.one("SELECT max(seq) FROM change_log")
    follower = syncer.start("log", "--follow", "--json", "--after", str(last))
    assert follower.stdout is not None
    try:
        heard = []
        for n in range(3):
            edit(syncer, 2 + n, f"Firm {n}")
            heard.append(json.loads(follower.stdout.readline()))
        assert [entry["seq"] for entry in heard] == [last + 1, last + 2, last + 3]
        assert [entry["new"] for entry in heard] == ["Firm 0", "Firm 1", "Firm 2"]
        follower.send_signal(signal.SIGINT)
        rest, err = follower.communicate(timeout=20)
        assert (rest, err.strip()) == ("", "")
        assert follower.returncode == 130
    finally:
        follower.kill()


def test_follow_ends_quietly_when_its_reader_is_gone(syncer: Syncer) -> None:
    reading, writing = os.pipe()
    follower = syncer.start(
        "log", "--follow", "--json", "--after", "0", stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    try:
        assert os.read(reading, 1) == b"{"
        os.close(reading)
        edit(syncer, 2, "Firm")
        _, err = follower.communicate(timeout=20)
        assert "Traceback" not in err and "Error" not in err
    finally:
        follower.kill()


def test_missing_entries_are_reported(syncer: Syncer) -> None:
    """Old entries are deleted after `retention.log`: a reader that continues from before them has missed some."""
    syncer.as_program("DELETE FROM change_log WHERE seq <= 10")
    done = syncer.ok("log", "--json", "--after", "4", "--limit", "1")
    assert lines(done.out)[0]["seq"] == 11
    assert "entries 5 to 10 are no longer there" in done.err
    assert syncer.ok("log", "--json", "--after", "10", "--limit", "1").err == ""
    assert syncer.ok("log", "--json", "--limit", "500").err == "", "nobody asked for them"


def test_forget(upstream: Upstream) -> None:
    syncer = upstream.syncer
    upstream.world.contact_insert(
        {"phone_no": "919200088888", "first_name": "Asha", "last_name": "Forgetme", "company": "X"}
    )
    syncer.ok("sync")
    assert "Forgetme" in syncer.ok("contacts", "list").out
    assert syncer("forget", "not a number", "--yes").code == 1
    asked = syncer.process("forget", "092000 88888", stdin=subprocess.DEVNULL)
    assert asked.code == 1 and "nothing was removed: nobody answered" in asked.err
    assert re.search("telecmi_contacts row [0-9]+: Asha Forgetme", asked.err) and asked.out == ""
    with syncer.start("forget", "092000 88888", stdin=subprocess.PIPE) as refused:
        _, err = refused.communicate("n\n", timeout=20)
    assert refused.returncode == 1 and err.endswith("syncer: nothing was removed\n")
    assert "Forgetme" in syncer.ok("contacts", "list").out
    done = syncer.ok("forget", "092000 88888", "--yes")
    assert "telecmi_contacts: 1 row removed" in done.out
    for _ in range(2):
        syncer.ok("sync", "--full")
    assert "Forgetme" not in syncer.ok("contacts", "list", "--all").out
    assert syncer.one("SELECT count(*) FROM forgotten") == 1
    assert syncer.ok("forget", "+919200088888", "--yes", "--json").json == {
        "removed": {}, "other_numbers": {}, "mentioned": {}, "traces": False, "sent": {}
    }  # fmt: skip


def test_forget_names_the_other_numbers_of_the_same_contact(upstream: Upstream) -> None:
    """A number that a contact once had may be somebody else's now: a person decides."""
    syncer, world = upstream.syncer, upstream.world
    contact = world.contact_insert(
        {"phone_no": "919200088888", "first_name": "Asha", "last_name": "Forgetme"}
    )
    world.voicemail_insert(round(world.now() * 1000) - 60_000, 919_200_088_888)
    syncer.ok("sync")
    world.contact_update(contact, {"phone_no": "919200077777"})
    syncer.ok("sync")
    voicemail = syncer.one("SELECT id FROM telecmi_voicemails WHERE phone_e164 = '+919200088888'")
    assert "`syncer forget +919200088888`" in syncer("forget", "+919200077777").err, "before it asks"
    done = syncer.ok("forget", "+919200077777", "--yes", "--json").json
    assert done["removed"]["telecmi_contacts"] == 1
    assert done["other_numbers"] == {"+919200088888": {"telecmi_voicemails": [voicemail]}}
    assert syncer.one("SELECT count(*) FROM telecmi_voicemails WHERE phone_e164 = '+919200088888'") == 1
    done = syncer.ok("forget", "+919200088888", "--yes")
    assert "telecmi_voicemails: 1 row removed" in done.out


def test_forget_of_an_earlier_number_names_the_one_of_today(upstream: Upstream) -> None:
    syncer, world = upstream.syncer, upstream.world
    world.smartflo_upsert(77, {"phone_number": "+919200088888", "name": "Asha Forgetme"})
    syncer.ok("sync", "--full")
    world.smartflo_upsert(77, {"phone_number": "+919200077777"})
    syncer.ok("sync", "--full")
    row = syncer.one("SELECT id FROM smartflo_contacts WHERE smartflo_id = '77'")
    done = syncer.ok("forget", "+919200088888", "--yes")
    assert f"+919200077777 (smartflo_contacts: 1 row ({row}))" in done.out
    assert syncer.ok("forget", "+919200077777", "--yes", "--json").json["removed"]["smartflo_contacts"] == 1
