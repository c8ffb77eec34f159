"""The command line itself: help, exit codes, one sentence for whatever goes wrong."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import click
import pytest

from syncer import __version__, logs
from syncer.cli import main
from syncer.cli.app import App
from syncer.cli.main import COMMANDS, cli, exit_code
from syncer.errors import (
    AuthError,
    BadAnswerError,
    ConfigError,
    LockedError,
    LowDiskError,
    SchemaError,
    StoreBusyError,
    StoreError,
    UsageError,
)
from syncer.locks import Locks
from tests.cli.conftest import ROOT, Syncer


def commands() -> list[tuple[str, ...]]:
    context = click.Context(cli, info_name="syncer")
    out: list[tuple[str, ...]] = []
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            out += [(name, one) for one in command.commands]
        else:
            out.append((name,))
    return out


def one_sentence(err: str) -> str:
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("syncer: ") and "Traceback" not in err
    return lines[0]


def test_the_commands_are_those_of_the_contract() -> None:
    assert set(commands()) >= {
        ("init",), ("run",), ("sync",), ("status",), ("doctor",), ("sandbox",), ("demo",),
        *(("contacts", one) for one in ("list", "show", "add", "edit", "delete")),
        ("voicemails", "list"),
        *(("queue", one) for one in ("list", "show", "approve", "retry", "discard", "resolve")),
        *(("held", one) for one in ("list", "approve", "reject")),
        *(("db", one) for one in ("upgrade", "check", "backup")),
    }  # fmt: skip


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_each_help_shows_an_example(path: tuple[str, ...], empty: Syncer) -> None:
    done = empty.ok(*path, "--help")
    assert f"\n    syncer {' '.join(path)}" in done.out or path == ("run",), done.out
    assert "Example:" in done.out


def test_the_list_of_commands_says_what_they_say_themselves() -> None:
    context = click.Context(cli)
    for name, text in COMMANDS.items():
        command = cli.get_command(context, name)
        assert command is not None and command.name == name
        if isinstance(command, click.Group):
            assert command.help == text


def test_log_levels_are_those_of_the_logs() -> None:
    assert main.LEVELS == logs.LEVELS


#: What no command loads that only reads the mirror.
SLOW = {
    "sqlalchemy", "alembic", "httpx", "asyncio", "apscheduler", "starlette", "structlog", "rich", "phonenumbers", "email",
}  # fmt: skip


def test_help_imports_nothing_slow() -> None:
    code = "import sys, syncer.cli.main as m; m.run(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stderr.split()}
    assert not loaded & (SLOW | {"sqlite3", "ctypes"})
    assert "doctor" in done.stdout


def test_reading_commands_import_nothing_slow(syncer: Syncer) -> None:
    """What these commands load beyond their need is most of the time that they take."""
    commands = [
        ["status"],
        ["contacts", "show", "3"],
        ["contacts", "show", f"+{syncer.one('SELECT phone_no FROM telecmi_contacts WHERE id = 3')}"],
        ["contacts", "list", "--search", "a"],
        ["contacts", "list", "--provider", "any"],
        ["queue", "list"],
        ["held", "list"],
        ["log"],
        ["voicemails", "list"],
    ]
    code = (
        "import sys, syncer.cli.main as m\n"
        f"for command in {commands}:\n"
        f"    assert m.run(['--config', {str(syncer.config)!r}, *command]) == 0, command\n"
        "    print(*command, *sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    said = done.stderr.splitlines()
    assert len(said) == len(commands)
    for line in said:
        loaded = {name.split(".")[0] for name in line.split()}
        assert not loaded & (SLOW | {"ctypes"}), line.split(" sys ")[0]


def test_version(empty: Syncer) -> None:
    done = empty.process("--version", config=False)
    assert (done.code, done.out, done.err) == (0, f"syncer {__version__}\n", "")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError(["a", "b"]), 78),
        (SchemaError("x"), 78),
        (AuthError("telecmi.main", "/x", "refused"), 77),
        (LockedError("telecmi-push.main", "somebody"), 75),
        (StoreBusyError("x"), 75),
        (StoreError("x"), 1),
        (UsageError("x"), 1),
        (LowDiskError("x"), 1),
        (BadAnswerError("telecmi.main", "/x", "odd"), 1),
    ],
)
def test_each_error_has_its_exit_code(error: Exception, code: int) -> None:
    assert exit_code(error) == code  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "args",
    [
        ["nosuch"],
        ["--nosuch"],
        ["--log-level", "loud", "status"],
        ["status", "--nosuch"],
        ["status", "extra"],
        ["contacts", "nosuch"],
        ["contacts", "show"],
        ["contacts", "show", ""],
        ["contacts", "show", "   "],
        ["contacts", "list", "--limit", "0"],
        ["contacts", "list", "--limit", "many"],
        ["contacts", "list", "--provider", "acme"],
        ["contacts", "list", "--provider", "any", "--all"],
        ["contacts", "list", "--account", "nosuch"],
        ["contacts", "add"],
        ["contacts", "add", "--phone", "9200000001", "--first-name", "Asha"],
        ["contacts", "add", "--phone", "", "--first-name", "Asha", "--last-name", "Example"],
        ["contacts", "edit", "1"],
        ["contacts", "edit", "1", "--company", "two\nlines"],
        ["contacts", "edit", "1", "--company", "bell\x07"],
        ["contacts", "edit", "1", "--company", "\udcff"],
        ["contacts", "edit", "1", "--account", "smartflo.main", "--company", "x"],
        ["voicemails", "list", "--since", "soon"],
        ["voicemails", "list", "--since", "0s"],
        ["voicemails", "list", "--since", "99999d"],
        ["queue", "show", "one"],
        ["queue", "approve"],
        ["queue", "resolve", "1"],
        ["queue", "resolve", "1", "--keep", "both"],
        ["held", "approve", "x"],
        ["sync", "nosuch-job"],
        ["sync", "--account", "nosuch"],
        ["sync", "telecmi-push", "--account", "smartflo.main"],
        ["status", "--require", "telecmi-voicemails"],
        ["status", "--require", "telecmi-voicemails<"],
        ["status", "--require", "telecmi-voicemails<soon"],
        ["status", "--require", "telecmi-voicemails<-5m"],
        ["status", "--require", "nosuch<15m"],
        ["status", "--require", "telecmi-voicemails.nosuch<15m"],
        ["status", "--require", ""],
        ["sandbox", "--port", "70000"],
        ["sandbox", "--port", "http"],
        ["sandbox", "--contacts", "-1"],
        ["db"],
        ["db", "backup"],
    ],
    ids=lambda args: ascii(" ".join(args)),
)
def test_wrong_usage_exits_2(syncer: Syncer, args: list[str]) -> None:
    done = syncer(*args)
    assert done.code == 2, (done.out, done.err)
    assert done.out == "" and "Usage: syncer" in done.err and "Traceback" not in done.err


@pytest.mark.parametrize(
    "args",
    [
        ["contacts", "show", "999"],
        ["contacts", "show", "9" * 30],
        ["contacts", "show", "id:99"],
        ["contacts", "show", "nobody at all"],
        ["contacts", "show", "'; DROP TABLE telecmi_contacts; --"],
        ["contacts", "show", "+91xxxxxx2999"],
        ["contacts", "edit", "999", "--company", "x"],
        ["contacts", "edit", "1", "--phone", "+91xxxxxx2999"],
        ["contacts", "edit", "1", "--phone", "98******01"],
        ["contacts", "edit", "1", "--phone", "123"],
        ["contacts", "edit", "1", "--phone", "call me"],
        ["contacts", "edit", "1", "--phone", "9" * 100],
        ["contacts", "edit", "1", "--phone", ""],
        ["contacts", "edit", "1", "--last-name", ""],
        ["contacts", "edit", "1", "--last-name", "   "],
        ["contacts", "delete", "999"],
        ["contacts", "add", "--phone", "+91xxxxxx2999", "--first-name", "Asha", "--last-name", "Example"],
        ["contacts", "add", "--phone", "12", "--first-name", "Asha", "--last-name", "Example"],
        ["queue", "show", "999"],
        ["queue", "show", "0"],
        ["queue", "show", "9" * 30],
        ["queue", "approve", "999"],
        ["queue", "retry", "9" * 30],
        ["queue", "discard", "999"],
        ["queue", "resolve", "999", "--keep", "local"],
        ["held", "approve", "999"],
        ["held", "reject", "9" * 30],
        ["held", "show", "999"],
        ["held", "show", "9" * 30],
        ["contacts", "undo", "9" * 30],
        ["voicemails", "play", "0"],
        ["voicemails", "save", "9" * 30],
        ["db", "backup", "."],
        ["db", "backup", ""],
        ["db", "backup", "no/such/folder/x.db"],
        ["init", "no/such/folder/x.toml"],
        ["init", "."],
    ],
    ids=lambda args: ascii(" ".join(args))[:60],
)
def test_what_cannot_be_done_is_one_sentence_and_exits_1(syncer: Syncer, args: list[str]) -> None:
    before = list(syncer.sql("SELECT * FROM change_queue"))
    done = syncer(*args)
    assert done.code == 1, (done.out, done.err)
    assert done.out == ""
    one_sentence(done.err)
    assert syncer.sql("SELECT * FROM change_queue") == before


# -- as real processes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args", [["log", "--after"], ["log", "--limit"], ["contacts", "list", "--limit"]], ids=" ".join
)
def test_a_number_may_be_larger_than_those_of_sqlite(syncer: Syncer, args: list[str]) -> None:
    syncer.ok(*args, "1" * 30)


def test_a_number_is_shown_as_it_was_typed(syncer: Syncer) -> None:
    for command in (["queue", "show"], ["held", "approve"], ["contacts", "undo"], ["voicemails", "save"]):
        assert "1" * 30 in syncer(*command, "1" * 30).err
    assert "'x' is not a valid integer.\n" in syncer("queue", "show", "x").err


def test_without_a_config_it_says_where_it_looked(empty: Syncer) -> None:
    empty.config.unlink()
    done = empty.process("status", config=False)
    assert done.code == 78 and done.out == ""
    assert "syncer init" in one_sentence(done.err)
    assert empty("status").code == 78


def test_all_config_errors_are_reported_one_per_line(empty: Syncer) -> None:
    empty.config.write_text('[telecmi.main]\nregion = "Mars"\ntypo = 1\n[database]\nurl = "postgres://x"\n')
    done = empty("contacts", "list", "--json")
    assert done.code == 78 and done.out == ""
    lines = done.err.splitlines()
    assert len(lines) >= 3 and all(line.startswith("syncer: ") for line in lines)
    assert any("typo" in line for line in lines) and any("database.url" in line for line in lines)


def test_the_config_may_be_named_by_the_environment(empty: Syncer) -> None:
    empty.env["SYNCER_CONFIG"] = str(empty.config)
    assert empty.process("status", config=False).code == 0
    assert not empty.database.exists()


def test_refused_credentials_exit_77(empty: Syncer) -> None:
    empty.write_config('secret = "sandbox-secret"', 'secret = "wrong-secret"')
    done = empty.process("sync", "telecmi-voicemails")
    assert done.code == 77 and "credentials" in done.out and "wrong-secret" not in done.out + done.err


@pytest.mark.parametrize(
    "args", [["status"], ["sync"], ["contacts", "list"], ["db", "check"], ["db", "upgrade"]]
)
def test_a_database_from_a_newer_version_is_refused(syncer: Syncer, args: list[str]) -> None:
    syncer.sql("UPDATE alembic_version SET version_num = '9999'")
    done = syncer(*args)
    assert done.code == 78 and "newer version" in one_sentence(done.err)


def test_a_file_that_is_not_a_database_is_refused(empty: Syncer) -> None:
    empty.database.write_text("this is a letter, not a database; " * 100)
    for args in (["contacts", "list"], ["status"], ["db", "check"], ["sync"]):
        done = empty(*args)
        assert done.code == 78 and "not an intact SQLite database" in one_sentence(done.err)


@pytest.mark.parametrize(
    "args",
    [["contacts", "list"], ["queue", "list"], ["held", "list"], ["db", "check"], ["db", "backup", "x.db"]],
)
def test_reading_creates_no_database(empty: Syncer, args: list[str]) -> None:
    done = empty(*args)
    assert done.code == 1 and "syncer sync" in one_sentence(done.err)
    assert list(empty.folder.iterdir()) == [empty.config]


def test_a_lock_that_is_not_released_exits_75(syncer: Syncer) -> None:
    """Two waits of ten seconds, at the same time: for a job's lock, and for the database."""
    locks = syncer.folder / "mirror.db.locks"
    locks.mkdir(exist_ok=True)
    (folder := syncer.folder / "other").mkdir()
    for name in ("syncer.toml", "mirror.db"):
        (folder / name).write_bytes((syncer.folder / name).read_bytes())
    other = Syncer(folder, syncer.capsys, syncer.url)
    holder = sqlite3.connect(other.database, isolation_level=None)
    with (locks / "telecmi-push.main.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        holder.execute("BEGIN IMMEDIATE")
        waiting = [syncer.start("sync"), other.start("contacts", "edit", "1", "--company", "Acme")]
        done = [process.communicate(timeout=60) for process in waiting]
    holder.close()
    assert [process.returncode for process in waiting] == [75, 75]
    assert "telecmi-push.main is running elsewhere" in one_sentence(done[0][1])
    assert "held by another program" in one_sentence(done[1][1])
    assert syncer.one("SELECT count(*) FROM sync_runs") == 5  # having done nothing


def test_a_closed_pipe_is_not_an_error(syncer: Syncer) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = syncer.process("contacts", "list", "--json", stdout=writer)
    os.close(writer)
    assert done.code == 141 and done.err == ""


def test_output_to_a_full_disk_is_reported(syncer: Syncer) -> None:
    with Path("/dev/full").open("w") as full:
        done = syncer.process("contacts", "list", "--json", stdout=full)
    assert done.code == 1 and "No space left" in one_sentence(done.err)


def disk_full(*_: object) -> None:
    """A call on a full disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_reported_of_the_file_that_it_concerns(
    syncer: Syncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", disk_full)
        copy = syncer.folder / "people.csv"
        done = syncer("contacts", "export", str(copy))
    assert (done.code, one_sentence(done.err)) == (
        1,
        f"syncer: {copy} cannot be written: No space left on device",
    )
    assert not copy.exists()
    with Path("/dev/full").open("w") as output:
        done = syncer.process("sandbox", config=False, stdout=output)
    assert done.code == 1 and "the output could not be written: No space left" in one_sentence(done.err)


def test_a_lock_holds_where_its_holder_cannot_be_written_down(
    syncer: Syncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "pwrite", disk_full)
    locks = Locks(syncer.database, "a test")
    handle = locks.try_acquire("schema")
    assert handle is not None and locks.try_acquire("schema") is None
    assert locks.holder("schema") == "another process"
    locks.release(handle)
    assert syncer.ok("sync", "telecmi-push").out


def test_a_closed_stdout_never_ends_up_in_the_database(syncer: Syncer) -> None:
    done = syncer.process("contacts", "list", stdout=None, preexec_fn=lambda: os.close(1))
    assert done.code == 0 and done.err == ""
    assert syncer.ok("db", "check").out


def test_ctrl_c_ends_quietly(empty: Syncer) -> None:
    process = empty.start("sandbox")
    assert process.stderr is not None and "http://127.0.0.1:" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode in (0, 130) and "Traceback" not in err


def test_a_bug_is_reported_without_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([object()]) == 1  # type: ignore[list-item] # nobody can type this
    err = capsys.readouterr().err
    assert "this is a bug in syncer: " in one_sentence(err)


def test_a_bug_shows_its_traceback_at_debug_alone(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError("call +919200000001 or asha@example.com")
    except ValueError as error:
        main._bug(App(log_level="debug"), error)
        debug = capsys.readouterr().err
        main._bug(App(), error)
        usual = capsys.readouterr().err
    assert "Traceback" in debug and "9200000001" not in debug and "asha@" not in debug
    assert "Traceback" not in usual and "ValueError" in usual and "call" not in usual


@pytest.mark.parametrize(
    "command, most", [("sync", 7), ("sync", 16), ("run", 16), ("contacts edit 1 --company Example", 8)]
)
def test_a_process_that_may_open_too_few_files_says_so(syncer: Syncer, command: str, most: int) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    done = syncer.process(*command.split(), preexec_fn=limit)
    assert done.code == 1 and "may open no more files" in one_sentence(done.err)


def test_a_changed_table_is_named(syncer: Syncer) -> None:
    syncer.sql("ALTER TABLE smartflo_contacts RENAME COLUMN address TO place")
    words = "the table smartflo_contacts is not as syncer made it (the column address is missing)"
    for command, code in ((["db", "check"], 1), (["doctor"], 1), (["db", "upgrade"], 78), (["sync"], 78)):
        done = syncer(*command)
        assert done.code == code and words in done.out + done.err, (command, done)
    syncer.sql("ALTER TABLE smartflo_contacts RENAME COLUMN place TO address")
    syncer.ok("db", "check")


def test_doctor_names_added_objects_that_break_syncer(syncer: Syncer) -> None:
    syncer.sql("CREATE UNIQUE INDEX mine ON telecmi_contacts (phone_e164)")
    assert "the unique index mine on telecmi_contacts is not one of syncer's" in syncer.ok("doctor").out
    syncer.sql("CREATE TRIGGER fails AFTER UPDATE ON telecmi_contacts BEGIN INSERT INTO none VALUES (1); END")
    done = syncer("doctor")
    assert done.code == 1 and "the trigger fails on telecmi_contacts" in done.out and "main.none" in done.out
