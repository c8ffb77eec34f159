"""What commands print: lists and how much of them, CSV, local times, narrow terminals, the daemon."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import json
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Iterator

import pytest

from syncer.cli.output import plain, to_json
from tests.cli.conftest import Syncer, Upstream


@pytest.fixture
def called(syncer: Syncer) -> Syncer:
    """A mirror with three voicemails: two of callers whom a contact names."""
    syncer.as_program(
        "UPDATE telecmi_contacts SET company = 'Acme Example', first_name = 'Żaneta' WHERE id IN (2, 3)",
        *(
            "INSERT INTO telecmi_voicemails (account, voicename, from_number, phone_e164, received_at, raw) "
            f"SELECT 'main', 'v{row}', ltrim(phone_e164, '+'), phone_e164, "
            f"strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-{row} minutes'), '{{}}' FROM telecmi_contacts WHERE id = {row}"
            for row in (2, 3, 4)
        ),
        "UPDATE telecmi_voicemails SET from_number = '919200099999', phone_e164 = '+919200099999' WHERE voicename = 'v4'",
    )
    return syncer


# -- lists ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "limit", "end"),
    [
        (["contacts", "list"], 3, "3 of {} contacts."),
        (["contacts", "list", "--provider", "smartflo"], 2, "2 of {} contacts."),
        (["contacts", "list", "--provider", "any"], 1, "1 of {} contacts."),
        (["contacts", "list", "--search", "a"], 1, "1 of {} contacts."),
        (["voicemails", "list"], 2, "2 of {} voicemails."),
    ],
)
def test_a_list_says_how_many_it_leaves_out(called: Syncer, args: list[str], limit: int, end: str) -> None:
    syncer = called
    every = len(syncer.ok(*args, "--json").json)
    assert every > limit
    assert syncer.ok(*args, "--limit", str(limit)).out.splitlines()[-1] == end.format(every)
    noun = end.split()[-1]
    for all_of_them in ([], ["--limit", str(every)], ["--limit", str(every + 1)]):
        assert syncer.ok(*args, *all_of_them).out.splitlines()[-1] == f"{every} {noun}"


def test_the_queue_says_how_many_it_leaves_out(syncer: Syncer) -> None:
    for row in (2, 3, 4):
        syncer.sql("DELETE FROM telecmi_contacts WHERE id = ?", row)
    last = syncer.ok("queue", "list", "--limit", "2").out.splitlines()[-1]
    assert last.startswith("The newest 2 of 3 changes")
    assert "newest" not in syncer.ok("queue", "list", "--limit", "3").out


def test_the_log_says_that_there_is_more(syncer: Syncer) -> None:
    last = syncer.one("SELECT max(seq) FROM change_log")
    shown = syncer.ok("log").out.splitlines()
    assert shown[0].startswith(f"{last - 20} older entries") and len(shown) == 21
    shown = syncer.ok("log", "--after", "5", "--limit", "3").out.splitlines()
    assert shown[-1] == f"{last - 8} more entries: `syncer log --after 8`" and len(shown) == 4
    assert "more" not in syncer.ok("log", "--after", str(last - 2), "--limit", "2").out
    assert len(syncer.ok("log", "--after", str(last - 2), "--limit", "1", "--json").out.splitlines()) == 1


@pytest.mark.parametrize(
    "args",
    [
        ["contacts", "list"],
        ["contacts", "list", "--all"],
        ["contacts", "list", "--provider", "smartflo"],
        ["contacts", "list", "--provider", "any"],
        ["contacts", "list", "--search", "nobody has such a name"],
        ["voicemails", "list"],
        ["queue", "list"],
        ["held", "list"],
    ],
)
def test_csv_has_what_json_has(syncer: Syncer, args: list[str]) -> None:
    company = 'Acme, "Example"\nof two lines; = é'
    syncer.sql("UPDATE telecmi_contacts SET company = ? WHERE id = 2", company)
    rows = syncer.ok(*args, "--json").json
    assert syncer.ok(*args, "--format", "json").json == rows
    header, *found = csv.reader(io.StringIO(syncer.ok(*args, "--format", "csv").out, newline=""))
    assert len(found) == len(rows) and "account" in header
    for row, line in zip(rows, found, strict=True):
        assert {name: "" if value is None else str(value) for name, value in row.items()} == dict(
            zip(header, line, strict=True)
        )


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("żaneta", ["v2", "v3"]),
        ("acme EXAMPLE", ["v2", "v3"]),
        ("+919200099999", ["v4"]),
        ("092000 99999", ["v4"]),
        ("nobody has such a name", []),
    ],
)
def test_voicemails_are_found_by_their_caller(called: Syncer, search: str, found: list[str]) -> None:
    rows = called.ok("voicemails", "list", "--search", search, "--json").json
    assert [row["voicename"] for row in rows] == found
    if found:
        shown = called.ok("voicemails", "list", "--search", search, "--limit", "1").out
        assert shown.splitlines()[-1].startswith("1 voicemail" if len(found) == 1 else "1 of 2 voicemails")


def test_a_huge_value_does_not_make_every_row_as_wide(syncer: Syncer) -> None:
    huge = "Example " * 12_500
    syncer.sql("UPDATE telecmi_contacts SET first_name = ? WHERE id = 2", huge)
    out = syncer.ok("contacts", "list").out
    assert huge.strip() in out  # nothing is cut
    assert len(out) < 100_000 + 30_000
    out = syncer.ok("voicemails", "list").out
    assert len(out) < 20_000


STEERING = "\x1b[2J\x7f\x80\x9b2J\x9f\u2028\u202e\u2066"


def test_nothing_that_steers_a_terminal_is_printed_raw(syncer: Syncer) -> None:
    syncer.as_program(
        "UPDATE telecmi_contacts SET company = :company WHERE id = 2",
        "INSERT INTO change_log (at, table_name, row_id, kind, field, old, new, origin) "
        "VALUES ('2026-11-21T09:30:00.000Z', 'telecmi_contacts', 2, 'update', 'company', '', :company, 'upstream')",
        company=f"a{STEERING}b",
    )
    contact = syncer.one("SELECT phone_no FROM telecmi_contacts WHERE id = 2")
    for args in (["contacts", "list"], ["contacts", "show", contact], ["queue", "list"], ["log"]):
        for form in ([], ["--json"]):
            assert not (set(STEERING) - set("[2J")) & set(syncer.ok(*args, *form).out), (args, form)
    # Escaped, not replaced: JSON still says what is there.
    [row] = [row for row in syncer.ok("contacts", "list", "--json").json if row["id"] == 2]
    assert row["company"] == f"a{STEERING}b"
    last = json.loads(syncer.ok("log", "--limit", "1", "--json").out)
    assert last["new"] == f"a{STEERING}b"


def test_each_sign_that_steers_is_escaped() -> None:
    for number in (
        *range(0x20),
        *range(0x7F, 0xA0),
        0x2028,
        0x2029,
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
    ):
        sign = chr(number)
        assert sign not in to_json([sign]) and json.loads(to_json([sign], indent=2)) == [sign]
        assert sign not in plain(sign)
    assert plain("é ż 中 😀") == "é ż 中 😀" and json.loads(to_json("é 😀")) == "é 😀"


# -- times ---------------------------------------------------------------------------------------------


@pytest.fixture
def kolkata(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine in India."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("kolkata")
def test_people_get_local_times_and_programs_get_utc(called: Syncer) -> None:
    syncer = called
    syncer.sql("DELETE FROM telecmi_contacts WHERE id = 2")
    contact = syncer.one("SELECT phone_no FROM telecmi_contacts WHERE id = 3")
    for args in (["status"], ["queue", "list"], ["queue", "show", "1"], ["voicemails", "list"], ["log"],
                 ["contacts", "show", contact]):  # fmt: skip
        out = syncer.ok(*args).out
        assert re.search(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d IST", out), args
        assert "UTC" not in out, args
        found = syncer.ok(*args, "--json").out
        assert re.search(r"T\d\d:\d\d:\d\d\.\d\d\dZ", found) and "IST" not in found, args
    stored = syncer.one("SELECT last_ok_at FROM sync_jobs WHERE job = 'telecmi-contacts'")
    hour, minute = int(stored[11:13]), int(stored[14:16])
    local = f"{(hour + 5 + (minute + 30) // 60) % 24:02}:{(minute + 30) % 60:02}"
    assert f" {local}:{stored[17:19]} IST" in syncer.ok("status").out


# -- status --------------------------------------------------------------------------------------------


def test_status_says_whether_a_daemon_runs(syncer: Syncer) -> None:
    assert syncer.ok("status", "--json").json["daemon"] is None
    assert "No daemon is running" in syncer.ok("status").out
    with syncer.daemon():
        found = syncer.ok("status", "--json").json["daemon"]
        assert found["pid"] == os.getpid() and found["since"].endswith("Z")
        said = syncer.ok("status").out.replace("1 s ago", "0 s ago")
        assert f"A daemon is running: process {os.getpid()}, started 0 s ago" in said
    assert syncer.ok("status", "--json").json["daemon"] is None


def test_status_creates_no_files(empty: Syncer) -> None:
    assert empty.ok("status", "--json").json["daemon"] is None
    assert [path.name for path in empty.folder.iterdir()] == ["syncer.toml"]


def test_a_requirement_that_holds_prints_nothing(syncer: Syncer) -> None:
    holds, fails = "telecmi-contacts<1h", "telecmi-contacts<1s"
    syncer.as_program(
        "UPDATE sync_jobs SET last_ok_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-60 seconds')"
    )
    done = syncer("status", "--require", holds)
    assert (done.code, done.out, done.err) == (0, "", "")
    done = syncer("status", "--require", fails)
    assert done.code == 1 and "does not hold" in done.err and "telecmi-contacts" in done.out
    for args, code in ((["--require", holds], 0), (["--require", fails], 1), ([], 0)):
        done = syncer("status", "--quiet", *args)
        assert (done.code, done.out, done.err) == (code, "", "")
    assert syncer.ok("status", "--require", holds, "--json").json["requirements"][0]["holds"]


def read_until(handle: int, wanted: bytes, seen: bytes = b"") -> bytes:
    while wanted not in seen:
        ready, _, _ = select.select([handle], [], [], 30)
        assert ready, seen
        seen += os.read(handle, 65536)
    return seen


def test_watch_goes_on_until_ctrl_c(syncer: Syncer) -> None:
    reader, writer = os.pipe()
    process = syncer.start("status", "--watch", stdout=writer)
    os.close(writer)
    seen = read_until(reader, b"Queue: nothing waits")
    syncer.sql("DELETE FROM telecmi_contacts WHERE id = 2")
    read_until(reader, b"Queue: 1 held", seen)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    os.close(reader)
    process.communicate()
    for other in ("--json", "--quiet"):
        assert syncer("status", "--watch", other).code == 2


def on_a_terminal(syncer: Syncer, columns: int, *args: str, **environ: str) -> str:
    """What a command prints on a terminal so wide."""
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    syncer.env |= {"TERM": "xterm"} | environ
    process = syncer.start(*args, stdin=writer, stdout=writer, stderr=writer)
    os.close(writer)
    out = b""
    while True:
        try:
            part = os.read(reader, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        out += part
    os.close(reader)
    process.wait(10)
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", out.decode()).replace("\r", "")


def test_a_narrow_terminal_breaks_no_word_of_status(upstream: Upstream) -> None:
    syncer = upstream.syncer
    syncer.sql("UPDATE telecmi_contacts SET company = 'Here' WHERE id = 2")
    upstream.edit(2, company="There")
    syncer.sql("UPDATE telecmi_contacts SET last_name = '' WHERE id = 3")
    syncer.sql("DELETE FROM telecmi_contacts WHERE id = 4")
    upstream.world.faults.add({"path": "/v1/contacts", "kind": "http", "status": 400, "times": 9})
    syncer("sync")
    words = set(syncer.ok("status", "--evidence").out.split())
    assert {"telecmi-user-contacts", "incremental"} & words and len(words) > 60
    out = on_a_terminal(syncer, 80, "status", "--evidence")
    moving = re.compile(r"\(?\d")  # ages go on
    assert {word for word in out.split() if word not in words and not moving.match(word)} == set()
    whole = [line for line in out.splitlines() if str(syncer.database) not in line]
    assert max(map(len, whole)) <= 80


@pytest.mark.parametrize(("environ", "colored"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color_holds_for_run(syncer: Syncer, environ: dict[str, str], colored: bool) -> None:
    reader, writer = pty.openpty()
    syncer.env |= {"TERM": "xterm"} | environ
    process = syncer.start("run", stdin=writer, stdout=writer, stderr=writer)
    os.close(writer)
    out = read_until(reader, b"started")
    process.terminate()
    assert (b"\x1b[" in out) == colored
    with contextlib.suppress(OSError):  # the other end is closed
        while os.read(reader, 65536):
            pass
    os.close(reader)
    assert process.wait(15) == 0


# -- the command line ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [["status", "--config", "x"], ["status", "--config=x"], ["contacts", "list", "--config", "x"],
     ["sync", "--log-level", "debug"], ["run", "--log-level=debug"]],
)  # fmt: skip
def test_a_global_option_after_the_command_is_sent_to_its_place(syncer: Syncer, args: list[str]) -> None:
    done = syncer(*args)
    assert done.code == 2
    option = next(word for word in args if word.startswith("--")).partition("=")[0]
    assert f"{option} goes before the command: syncer {option} ... COMMAND" in done.err
