"""Logs: what they look like, and above all what never gets into them."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from syncer import logs
from syncer.core.secret import Secret
from syncer.logs import Edges, configure_logs, get_logger, register_secret, scrub

SECRET = 's3cr3t/+ value"é'


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """A stream that takes JSON lines; everything global is put back afterwards."""
    root = logging.getLogger()
    handlers, level, config = list(root.handlers), root.level, structlog.get_config()
    target = io.StringIO()
    configure_logs("info", json=True, stream=target)
    register_secret(Secret(SECRET))
    yield target
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def last(stream: io.StringIO) -> dict[str, Any]:
    return lines(stream)[-1]


def test_a_line_is_one_json_object_in_utc(stream: io.StringIO) -> None:
    get_logger(account="telecmi.main").info("pull done", rows=3, dry_run=False, path=Path("/x"), nothing=None)
    line = last(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "pull done", "level": "info", "account": "telecmi.main", "rows": 3, "dry_run": False, "path": "/x",
        "nothing": None,
    }  # fmt: skip


def test_a_logger_made_before_the_set_up_follows_it(stream: io.StringIO) -> None:
    early = get_logger(job="telecmi-push")
    later = io.StringIO()
    configure_logs("error", json=True, stream=later)
    early.info("not shown")
    early.error("shown")
    assert [line["event"] for line in lines(later)] == ["shown"]
    assert stream.getvalue() == ""


@pytest.mark.parametrize("key", [
    "secret", "password", "user_password", "token", "access_token", "accessToken", "Authorization", "phone",
    "phone_no", "phone_e164", "callerPhone", "mobile", "name", "first_name", "last_name", "caller_name", "email",
    "email_id", "cookie", "from_number", "voicename", "raw", "msg",
])  # fmt: skip
@pytest.mark.parametrize("value", ["Asha", 919200000000, ["Asha"], {"x": "Asha"}])
def test_values_under_telling_keys_are_masked(stream: io.StringIO, key: str, value: object) -> None:
    get_logger().info("x", **{key: value})
    assert last(stream)[key] == "***"
    get_logger().info("x", nested=[{key: value}])
    assert last(stream)["nested"] == [{key: "***"}]


@pytest.mark.parametrize(
    "key", ["table_name", "job_name", "rows", "account", "phones_read", "field", "hostname"]
)
def test_values_under_other_keys_stay(stream: io.StringIO, key: str) -> None:
    get_logger().info("x", **{key: "telecmi_contacts"})
    assert last(stream)[key] == "telecmi_contacts"


def test_what_is_absent_or_a_flag_is_not_masked(stream: io.StringIO) -> None:
    get_logger().info("x", phone_e164=None, token=False)
    assert last(stream)["phone_e164"] is None and last(stream)["token"] is False


class Holder:
    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Holder({self.value!r})"


@pytest.mark.parametrize("written", [
    SECRET, f"a{SECRET}b", {"k": SECRET}, {SECRET: 1}, [(SECRET,)], Holder(SECRET), Secret(SECRET),
    SECRET.encode(), ValueError(SECRET), Path(SECRET), f"https://x/?secret={SECRET}",
    "https://x/?secret=s3cr3t%2F%2B%20value%22%C3%A9", "https://x/?secret=s3cr3t%2F%2B+value%22%C3%A9",
    json.dumps({"secret": SECRET}),
])  # fmt: skip
def test_a_registered_secret_shows_nowhere(stream: io.StringIO, written: object) -> None:
    get_logger().info(f"event {written}", value=written)
    assert "s3cr3t" not in stream.getvalue() and "***" in stream.getvalue()


def test_short_and_placeholder_secrets_do_not_blot_out_words() -> None:
    register_secret("abc")
    register_secret("......")
    assert scrub("abc ......") == "abc ......"


@pytest.mark.parametrize(("text", "clean"), [
    ("call +919200000000 now", "call [number] now"),
    ("919200000000", "[number]"),
    ("1466083974_101_919200000000.wav", "[number]_101_[number].wav"),
    ("write to asha@example.com, please", "write to [email], please"),
    ("row 1234567 of 9999999", "row 1234567 of 9999999"),
    ("550e8400-e29b-41d4-a716-446655440000", "550e8400-e29b-41d4-a716-446655440000"),
    ("2026-11-21T09:30:00.000Z", "2026-11-21T09:30:00.000Z"),
])  # fmt: skip
def test_numbers_and_addresses_in_free_text(text: str, clean: str) -> None:
    assert scrub(text) == clean


@pytest.mark.parametrize("as_json", [True, False])
def test_a_trace_shows_no_secret_and_no_locals(stream: io.StringIO, as_json: bool) -> None:
    target = io.StringIO()
    configure_logs("info", json=as_json, stream=target)
    hidden_local = "only-a-local"
    try:
        try:
            raise ValueError(f"bad {SECRET} of +919200000000")
        except ValueError as error:
            raise RuntimeError("outer") from error
    except RuntimeError:
        get_logger().exception("it broke", rows=1)
        logging.getLogger("library").exception("it broke too")
    text = target.getvalue()
    assert text.count("RuntimeError: outer") == 2 and "test_logs.py" in text
    assert (
        "s3cr3t" not in text and "9200000000" not in text and hidden_local not in text.replace('= "only', "")
    )


def test_libraries_are_masked_and_quiet(stream: io.StringIO) -> None:
    for name in ("httpx", "httpcore.http11", "apscheduler.scheduler", "uvicorn.access", "uvicorn", "alembic.x",
                 "sqlalchemy.engine.Engine"):  # fmt: skip
        logging.getLogger(name).info("HTTP Request: GET https://x/v2/play?secret=1")
    assert stream.getvalue() == ""
    logging.getLogger("uvicorn.access").warning("GET /?token=1")
    assert stream.getvalue() == ""
    logging.getLogger("httpx").warning("odd %s for %s", SECRET, "+919200000000")
    assert last(stream) | {"timestamp": ""} == {
        "event": "odd *** for [number]", "level": "warning", "logger": "httpx", "timestamp": "",
    }  # fmt: skip


def test_a_record_whose_arguments_do_not_fit_still_makes_a_line(stream: io.StringIO) -> None:
    # Not through a logger: pytest's own handler raises on such a record.
    (handler,) = [one for one in logging.getLogger().handlers if isinstance(one, logs._Handler)]
    handler.handle(logging.LogRecord("library", logging.WARNING, __file__, 1, "%d rows", (SECRET,), None))
    assert last(stream)["event"] == "%d rows"


def test_setting_up_twice_writes_once(stream: io.StringIO) -> None:
    configure_logs("INFO", json=True, stream=stream)
    logging.getLogger("library").warning("one")
    get_logger().warning("two")
    assert [line["event"] for line in lines(stream)] == ["one", "two"]


def test_a_console_line_is_for_people(stream: io.StringIO) -> None:
    configure_logs("info", json=False, stream=stream)
    get_logger(account="telecmi.main").warning("upstream fails", token="x")
    text = stream.getvalue()
    assert "upstream fails" in text and "account=telecmi.main" in text and "token=***" in text
    assert "\x1b" not in text


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"'loud' is not a log level; use one of debug, info, warning, error"
    ):
        configure_logs("loud", json=True)


class Broken(io.StringIO):
    def write(self, text: str, /) -> int:
        raise BrokenPipeError


def test_a_reader_that_is_gone_ends_nothing(stream: io.StringIO) -> None:
    for target in (Broken(), io.StringIO()):
        target.close()
        configure_logs("info", json=True, stream=target)
        get_logger().error("x")
        logging.getLogger("library").error("x")


def test_before_the_set_up_lines_go_to_stderr_and_are_masked() -> None:
    code = (
        "from syncer.logs import get_logger\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError: get_logger().exception('early', password='hunter2', phone='x')\n"
    )
    root = Path(logs.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert "early" in done.stderr and "ZeroDivisionError" in done.stderr and "hunter2" not in done.stderr


@pytest.mark.parametrize(
    ("level", "priority"), [("debug", 7), ("info", 6), ("warning", 4), ("error", 3), ("critical", 2)]
)
def test_the_journal_gets_priorities(stream: io.StringIO, level: str, priority: int) -> None:
    journal = io.StringIO()
    configure_logs("debug", json=True, priorities=True, stream=journal)
    getattr(get_logger(), level)("ours")
    getattr(logging.getLogger("a.library"), level)("theirs")
    try:
        raise OSError("of a test")
    except OSError:
        getattr(get_logger(), level)("with a trace", exc_info=True)
    found = journal.getvalue().splitlines()
    assert len(found) == 3  # a trace makes no line of its own, which would lack a priority
    for line in found:
        assert line.startswith(f"<{priority}>{{")
        assert json.loads(line[3:])["level"] == level


def test_only_the_journals_own_stream_is_the_journal(tmp_path: Path) -> None:
    """`$JOURNAL_STREAM` is inherited, also by a program whose stderr goes elsewhere."""
    with (tmp_path / "journal").open("w") as journal, (tmp_path / "file").open("w") as other:
        status = os.fstat(journal.fileno())
        environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert logs.is_journal(journal, environ)
        assert not logs.is_journal(journal, {}) and not logs.is_journal(journal, {"JOURNAL_STREAM": "8:1"})
        assert not logs.is_journal(other, environ) and not logs.is_journal(io.StringIO(), environ)


SAYING = """
import os, sys
from syncer.logs import get_logger, set_up_logs
set_up_logs("info", os.environ)
get_logger().error("said")
"""


def said(environ: dict[str, str], stderr: int) -> None:
    base = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "JOURNAL_STREAM")}
    subprocess.run([sys.executable, "-c", SAYING], env=base | environ, stderr=stderr, check=True)


@pytest.mark.parametrize(
    ("environ", "terminal", "start"),
    [
        ({}, False, b"{"),
        ({"JOURNAL_STREAM": "its own"}, False, b"<3>{"),
        ({"JOURNAL_STREAM": "8:1"}, False, b"{"),
        ({}, True, b"\x1b["),
        ({"NO_COLOR": ""}, True, b"\x1b["),
        ({"NO_COLOR": "1"}, True, None),
        ({"JOURNAL_STREAM": "8:1", "NO_COLOR": "1"}, True, None),
    ],
)
def test_each_reader_gets_what_it_can_read(
    tmp_path: Path, environ: dict[str, str], terminal: bool, start: bytes | None
) -> None:
    if terminal:
        reader, writer = pty.openpty()
    else:
        writer = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
        reader = os.open(tmp_path / "log", os.O_RDONLY)
        status = os.fstat(writer)
        if environ.get("JOURNAL_STREAM") == "its own":
            environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    said(environ, writer)
    line = os.read(reader, 10_000)
    os.close(reader)
    os.close(writer)
    assert b"said" in line
    if start is None:
        assert line[:1].isdigit() and b"\x1b" not in line
    else:
        assert line.startswith(start)


def test_edges_log_beginnings_and_ends_only(stream: io.StringIO) -> None:
    edges, log = Edges(), get_logger(account="telecmi.main")
    assert not edges.recovered("a", log, "works again")
    assert edges.failing("a", log, "fails", code=503)
    assert not edges.failing("a", log, "fails", code=503)
    assert edges.failing(("a", "b"), log, "fails too")
    assert edges.recovered("a", log, "works again", after_s=12)
    assert not edges.recovered("a", log, "works again")
    assert edges.failing("a", log, "fails", code=500)
    told = [(line["event"], line["level"], line.get("failures")) for line in lines(stream)]
    assert told == [
        ("fails", "warning", None), ("fails too", "warning", None), ("works again", "info", 2), ("fails", "warning", None),
    ]  # fmt: skip
