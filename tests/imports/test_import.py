"""`contacts import --apply`, `imports` and `undo`: what is written, what stays, and what bad input gets."""

from __future__ import annotations

import contextlib
import io
import os
import random
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from syncer.cli.main import run
from syncer.errors import UsageError
from syncer.formats import source
from syncer.formats.contacts_file import read_candidates
from tests.cli.conftest import Done, Syncer
from tests.imports.case import workbook

PEOPLE = """\
First Name,Last Name,Phone,Email,Company
Nila,Example,92000 00010,nila@example.com,Acme
Asha,Example,9200000001,,New Example
Ravi Kumar,Example,9200000002,,
Nobody,,9200000011,,
"""

STATE = "SELECT id, phone_no, phone_e164, first_name, last_name, email_id, company, job_title, deleted_at FROM telecmi_contacts"


def write(syncer: Syncer, text: str, name: str = "people.csv") -> str:
    path = syncer.folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def applied(syncer: Syncer, text: str = PEOPLE) -> dict[str, Any]:
    done: dict[str, Any] = syncer.ok("contacts", "import", write(syncer, text), "--apply", "--json").json
    return done


def contact(syncer: Syncer, row: int) -> tuple[Any, ...]:
    return syncer.sql(f"{STATE} WHERE id = ?", row)[0]


# -- writing ------------------------------------------------------------------------------------------


def test_a_plan_changes_nothing_and_says_how_to_write_it(syncer: Syncer) -> None:
    before = syncer.sql(STATE), syncer.one("SELECT count(*) FROM change_log")
    done = syncer.ok("contacts", "import", write(syncer, PEOPLE))
    assert "row 2      add         phone_no '919200000010'" in done.out
    assert "row 3      update      contact 1; company 'New Example'" in done.out
    assert "4 rows: 1 add, 1 update, 1 same, 1 unreadable." in done.out and "--apply" in done.out
    assert (syncer.sql(STATE), syncer.one("SELECT count(*) FROM change_log")) == before
    assert "Nothing was imported yet" in syncer.ok("contacts", "imports").out


def test_what_is_applied_is_a_persons_edit_in_one_batch(syncer: Syncer) -> None:
    done = applied(syncer)
    assert done["batch"] == 1 and done["counts"]["add"] == done["counts"]["update"] == 1
    assert [row["contact"] for row in done["rows"]] == [9, 1, 2, None]
    assert contact(syncer, 9)[1:7] == (
        "919200000010",
        "+919200000010",
        "Nila",
        "Example",
        "nila@example.com",
        "Acme",
    )
    changes = syncer.sql("SELECT contact_row, operation, state FROM change_queue WHERE operation <> 'delete'")
    assert sorted(changes) == [(1, "update", "queued"), (9, "add", "queued")]
    logged = syncer.sql(
        "SELECT row_id, kind, field, old, new, origin FROM change_log ORDER BY seq DESC LIMIT 2"
    )
    assert logged == [
        (1, "update", "company", "Acme Example", "New Example", "local"),
        (9, "insert", None, None, None, "local"),
    ]
    [batch] = syncer.ok("contacts", "imports", "--json").json
    assert (batch["file_name"], batch["format"], batch["by"]) == ("people.csv", "csv", "cli")
    assert (batch["added"], batch["updated"], batch["undone_at"]) == (1, 1, None) and batch["finished_at"]
    assert "people.csv" in syncer.ok("contacts", "imports").out


def test_a_second_time_there_is_nothing_to_change(syncer: Syncer) -> None:
    applied(syncer)
    newest = syncer.one("SELECT max(seq) FROM change_log")
    done = applied(syncer)
    assert done["batch"] is None and done["counts"]["same"] == 3
    assert syncer.one("SELECT max(seq) FROM change_log") == newest
    assert (
        "There is nothing to change." in syncer.ok("contacts", "import", write(syncer, PEOPLE), "--apply").out
    )


def test_a_large_file_is_written_in_short_transactions(syncer: Syncer) -> None:
    rows = [f"Nila,Example {n},92000{n:05}" for n in range(100, 350)]
    done = applied(syncer, "\n".join(["First Name,Last Name,Phone", *rows]))
    assert done["counts"]["add"] == 250
    assert syncer.sql("SELECT last_seq - first_seq + 1 FROM import_spans") == [(250,)]
    syncer.ok("contacts", "import", write(syncer, PEOPLE), "--apply")
    assert [one["id"] for one in syncer.ok("contacts", "imports", "--json").json] == [2, 1]


def test_what_others_write_meanwhile_is_not_part_of_the_batch(syncer: Syncer) -> None:
    """Two rows are more than a transaction apart, and a person types in between."""
    from syncer.config import Credentials
    from syncer.config.load import load_settings
    from syncer.store.write.imports import Batch
    from syncer.sync.importing import Importer
    from syncer.sync.open_database import open_database

    rows = [f"Nila,Example {n},92000{n:05}" for n in range(100, 300)]
    path = write(syncer, "\n".join(["First Name,Last Name,Phone", *rows]))
    settings = load_settings(syncer.config, {}, Credentials("unused"))
    db = open_database(settings)
    try:
        batch = Batch("people.csv", "csv", "cli", "2026-11-21T09:30:00.000Z")
        candidates = [one._replace(account="main") for one in read_candidates(Path(path), "csv", {})]
        importer = Importer(db, candidates, {"main": "IN"}, lambda: "2026-11-21T09:30:01.000Z")
        seen = []
        for n, planned in enumerate(importer.apply(batch)):
            seen.append(planned.verdict.value)
            if n == 0:
                syncer.sql("UPDATE telecmi_contacts SET company = 'Typed Example' WHERE id = 1")
                typed = "INSERT INTO telecmi_contacts (phone_no, first_name, last_name) VALUES ('9200000250', 'Nila', 'Example 250')"
                syncer.sql(typed)
    finally:
        db.close()
    assert seen.count("add") == 199 and seen.count("same") == 1
    assert len(syncer.sql("SELECT * FROM import_spans")) == 2
    assert syncer.ok("contacts", "undo", "1", "--json").json["rows"][0]["action"] == "delete"
    assert contact(syncer, 1)[6] == "Typed Example"


def test_an_import_that_is_stopped_leaves_a_batch_that_can_be_undone(syncer: Syncer) -> None:
    rows = [f"Nila,Example {n},92000{n:05}" for n in range(100, 400)]
    path = write(syncer, "\n".join(["First Name,Last Name,Phone", *rows]))

    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise KeyboardInterrupt

    with contextlib.redirect_stdout(Full()):
        assert run(["--config", str(syncer.config), "contacts", "import", path, "--apply"]) == 130
    assert "The import broke off: 100 contacts added" in syncer.capsys.readouterr().err
    assert "broke off" in syncer.ok("contacts", "imports").out
    assert applied(syncer, Path(path).read_text())["counts"] == {
        "add": 200, "update": 0, "same": 100, "duplicate": 0, "unreadable": 0
    }  # fmt: skip
    syncer.ok("contacts", "undo", "1")
    syncer.ok("contacts", "undo", "2")
    assert syncer.one("SELECT count(*) FROM telecmi_contacts WHERE deleted_at IS NULL AND id > 8") == 0


def test_an_undo_that_breaks_off_says_how_far_it_has_got(syncer: Syncer) -> None:
    rows = [f"Nila,Example {n},92000{n:05}" for n in range(100, 400)]
    applied(syncer, "\n".join(["First Name,Last Name,Phone", *rows]))
    left = "SELECT count(*) FROM telecmi_contacts WHERE deleted_at IS NULL AND id > 8"
    middle = syncer.one("SELECT id FROM telecmi_contacts WHERE phone_no = '919200000350'")
    syncer.sql(
        f"CREATE TRIGGER theirs BEFORE DELETE ON telecmi_contacts WHEN OLD.id = {middle} "
        "BEGIN SELECT RAISE(ABORT, 'stopped'); END"
    )
    done = syncer("contacts", "undo", "1")
    assert done.code == 1 and "The undo broke off: 200 contacts so far." in done.err
    assert syncer.one(left) == 100
    syncer.sql("DROP TRIGGER theirs")
    assert "100 contacts: 100 delete" in syncer.ok("contacts", "undo", "1").out
    assert syncer.one(left) == 0


@pytest.mark.parametrize("more", [[], ["--json"]], ids=["text", "json"])
def test_a_plan_into_a_closed_pipe_ends_quietly(reading: Syncer, tmp_path: Path, more: list[str]) -> None:
    path = tmp_path / "people.csv"
    path.write_text(PEOPLE)
    reader, writer = os.pipe()
    os.close(reader)
    done = reading.process("contacts", "import", str(path), *more, stdout=writer)
    os.close(writer)
    assert (done.code, done.err) == (141, "")


def test_forgotten_people_do_not_come_back(syncer: Syncer) -> None:
    syncer.ok("forget", "+919200000001", "--yes")
    rows = syncer.ok("contacts", "import", write(syncer, PEOPLE), "--json").json["rows"]
    assert rows[1]["verdict"] == "unreadable" and "forgotten" in rows[1]["reason"]


# -- undo ---------------------------------------------------------------------------------------------


def test_undo_gives_back_what_nobody_else_changed(syncer: Syncer) -> None:
    before = syncer.sql(f"{STATE} WHERE id < 9")
    applied(syncer)
    plan = syncer.ok("contacts", "undo", "1", "--dry-run", "--json").json
    assert not plan["applied"] and [row["action"] for row in plan["rows"]] == ["restore", "delete"]
    assert contact(syncer, 1)[6] == "New Example"
    assert syncer.ok("contacts", "undo", "1", "--json").json["rows"] == plan["rows"]
    assert syncer.sql(f"{STATE} WHERE id < 9") == before and contact(syncer, 9)[8] is not None
    assert syncer.ok("contacts", "imports", "--json").json[0]["undone_at"]


def test_undo_names_and_leaves_what_was_changed_since(syncer: Syncer) -> None:
    applied(syncer, PEOPLE.replace("9200000001,,", "9200000001,new@example.com,"))
    syncer.sql("UPDATE telecmi_contacts SET company = 'Newer Example' WHERE id = 1")
    syncer.sql("UPDATE telecmi_contacts SET company = 'Edited Example' WHERE id = 9")
    done = syncer.ok("contacts", "undo", "1")
    assert "email_id 'asha@example.com'; changed since: company" in done.out
    assert "contact 9      keep        the contact was edited since: company" in done.out
    assert contact(syncer, 1)[5:7] == ("asha@example.com", "Newer Example") and contact(syncer, 9)[8] is None


def test_an_added_contact_that_upstream_has_becomes_a_delete_that_waits(syncer: Syncer) -> None:
    applied(syncer)
    syncer.as_program(
        "UPDATE change_queue SET state = 'done' WHERE contact_row = 9",
        "INSERT INTO contact_base (row_id, account, source, contact_id, phone_no) "
        "VALUES (9, 'main', 'directory', 'c9', '919200000010')",
    )
    assert "wait for `syncer queue approve`" in syncer.ok("contacts", "undo", "1").out
    assert syncer.sql(
        "SELECT operation, state FROM change_queue WHERE contact_row = 9 ORDER BY id DESC LIMIT 1"
    ) == [("delete", "held")]


@pytest.mark.parametrize("args", [["1"], ["7"]])
def test_an_unknown_batch_or_one_that_was_undone_is_refused(syncer: Syncer, args: list[str]) -> None:
    applied(syncer)
    syncer.ok("contacts", "undo", "1")
    state = syncer.sql(STATE), syncer.one("SELECT max(seq) FROM change_log")
    done = syncer("contacts", "undo", *args)
    assert done.code == 1 and "nothing was changed" in done.err
    assert (syncer.sql(STATE), syncer.one("SELECT max(seq) FROM change_log")) == state


def test_a_bulk_edit_from_a_shell_is_undone_by_time_or_log(syncer: Syncer) -> None:
    before = syncer.sql(STATE)
    start = syncer.one("SELECT max(seq) FROM change_log")
    syncer.sql("UPDATE telecmi_contacts SET company = 'Everybody Example'")
    syncer.sql("DELETE FROM telecmi_contacts WHERE id IN (1, 2)")
    end = syncer.one("SELECT max(seq) FROM change_log")
    shown = syncer.ok("contacts", "undo", "--log", f"{start + 1}-{end}")
    assert "contact 1      bring back  company 'Acme Example'" in shown.out and "--apply" in shown.out
    assert syncer.one("SELECT company FROM telecmi_contacts WHERE id = 3") == "Everybody Example"
    syncer.ok("contacts", "undo", "--log", f"{start + 1}-{end}", "--apply")
    assert syncer.sql(STATE) == before
    assert "There is nothing to undo" in syncer.ok("contacts", "undo", "--since", "2126-01-01").out
    syncer.sql("UPDATE telecmi_contacts SET company = 'Again Example' WHERE id = 6")
    stamp = syncer.one(
        "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', at, '-0.0005 seconds') FROM change_log ORDER BY seq DESC"
    )
    [row] = syncer.ok("contacts", "undo", "--since", stamp, "--apply", "--json").json["rows"]
    assert row["contact"] == 6 and syncer.sql(STATE) == before


@pytest.mark.parametrize(
    "args",
    [[], ["1", "--since", "1h"], ["1", "--dry-run", "--apply"], ["--since", "soon"], ["--log", "5-1"], ["--log", "x"],
     ["--since", "2026-11-29 99:30"]],
)  # fmt: skip
def test_undo_refuses_wrong_usage(reading: Syncer, args: list[str]) -> None:
    assert reading("contacts", "undo", *args).code == 2


def test_undo_says_what_the_log_has_no_longer(syncer: Syncer) -> None:
    applied(syncer)
    syncer.as_program("DELETE FROM change_log WHERE kind = 'insert' AND row_id = 9")
    done = syncer.ok("contacts", "undo", "1")
    assert "1 entry of the log are no longer there" in done.out.replace("is no longer", "are no longer")
    assert contact(syncer, 9)[8] is None and contact(syncer, 1)[6] == "Acme Example"


# -- bad input ----------------------------------------------------------------------------------------


def encrypted() -> bytes:
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/worksheets/sheet1.xml", bytes(30_000_000))
    return out.getvalue()


GOOD = workbook(["Name", "Phone"], ["Nila Example", 9200000045])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"\x89PNG\r\n\x1a\n\0\0", "line 3 holds a zero byte"),
        ("a.csv", b"Name,Phone\nN\xe9,1\n\x81,2\n", "line 3 holds bytes that are neither UTF-8 nor cp1252"),
        ("a.csv", b'Name,Phone\n"Nila,1\n', "is not CSV (a quoted cell is not closed)"),
        ("a.csv", b'Name,Phone\n"Nila" x,1\n', "line 2 is not CSV (there is text after a closing quote)"),
        ("a.csv", b"Name,Phone\n" + b"x" * 200_000, "line 2 is not CSV (a cell is longer"),
        ("a.csv", b"sep=|\nName|Phone\n", "line 1 declares a delimiter"),
        ("a.csv", b"", "is empty"),
        ("a.csv", b"Who,What\nNila,1\n", "no column of the first row is known to hold phone numbers"),
        ("a.csv", GOOD, "is a workbook"),
        ("a.csv", b"%PDF-1.7 ...", "is a PDF"),
        ("a.csv", encrypted(), "an Office file in an old format"),
        ("a.csv", b"\xff\xfeN\0a", "what its byte order mark says"),
        ("a.xlsx", encrypted(), "is encrypted, or a workbook in the old .xls format"),
        ("a.xlsx", b"", "is empty"),
        ("a.xlsx", b"Name,Phone\n", "is not a workbook, whatever its name says: if it is CSV or vCard, add --format"),
        ("a.xlsx", GOOD[: len(GOOD) // 2], "cannot be read as a workbook (BadZipFile)"),
        ("a.xlsx", bomb(), "would unpack to far more than a list of contacts"),
        ("a.xlsx", workbook(["Name", "Phone"], before="<!DOCTYPE x>"), "declares entities"),
        ("a.vcf", b"BEGIN:VCARD\nFN:Nila\n", "the card that begins in line 1 has no END:VCARD"),
        ("a.vcf", b"BEGIN:VCARD\nFN:A\nEND:VCARD\nBEGIN:VCARD\nBEGIN:VCARD\n", "begins in line 4 has no END"),
        ("a.vcf", b"Name,Phone\n", "holds no vCard"),
    ],
)  # fmt: skip
def test_a_bad_file_gets_a_sentence(
    reading: Syncer, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    done = reading("contacts", "import", str(path), "--apply")
    assert (done.code, done.out) == (1, "") and said in done.err, done
    assert done.err.endswith("; nothing was changed\n")


def import_of(syncer: Syncer, path: Path, *args: str) -> Done:
    return syncer("contacts", "import", str(path), *args)


def test_what_is_no_file_gets_a_sentence(reading: Syncer, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    for path, said in (
        (pipe, "it is a pipe"),
        (tmp_path, "it is a folder"),
        (tmp_path / "none", "No such file"),
        (folder, "it is a folder"),
        (tmp_path / "none.csv", "No such file"),
    ):
        done = import_of(reading, path)
        assert done.code == 1 and said in done.err and "nothing was changed" in done.err


def test_wrong_usage_is_refused(reading: Syncer, tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("Name,Phone\n")
    unknown = import_of(reading, table, "--map", "phone_no=Nummer")
    assert unknown.code == 1 and "has no column Nummer; its columns are Name, Phone" in unknown.err
    for args in (["--map", "phone=Phone"], ["--map", "phone_no"], ["--map", "company=a", "--map", "company=b"],
                 ["--format", "vcard", "--map", "company=a"], ["--account", "smartflo.main"]):  # fmt: skip
        assert import_of(reading, table, *args).code == 2, args
    table.rename(tmp_path / "a.odt")
    assert import_of(reading, tmp_path / "a.odt").code == 2
    (tmp_path / "a.json").write_text("[]")
    written = import_of(reading, tmp_path / "a.json")
    assert written.code == 2 and "is JSON, which is exported but not imported" in written.err
    assert import_of(reading, tmp_path / "a.odt", "--format", "csv").out == "The file has no contacts.\n"


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Name,Phone\nNila Example,1\n")
    rows = read_candidates(path, "csv", {})
    next(rows)
    with path.open("a") as file:
        file.write("Asha Example,2\n")
    with pytest.raises(UsageError, match="changed while it was read"):
        list(rows)


def test_a_temporary_folder_without_room_gets_a_sentence(
    reading: Syncer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Name,Phone\nNila Example,9200000080\n")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda *_args, **_more: Path("/dev/full").open("w+"))  # noqa: SIM115
    done = import_of(reading, path)
    assert done.code == 1 and "No space left on device" in done.err and "TMPDIR" in done.err, done


def test_a_file_that_may_not_be_read_gets_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x")
    path.chmod(0)
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    with pytest.raises(UsageError, match="Permission denied"), source.opened(path):
        pass


@pytest.mark.parametrize("form", ["csv", "xlsx", "vcard"])
def test_random_bytes_never_end_in_a_traceback(tmp_path: Path, form: str) -> None:
    chance = random.Random(18)
    path = tmp_path / "a"
    for round_ in range(150):
        if form == "xlsx" and round_ % 2:  # a workbook with some bytes changed
            data = bytearray(GOOD)
            for _ in range(chance.randint(1, 8)):
                data[chance.randrange(len(data))] = chance.randrange(256)
        else:
            start = {"csv": b"Name,Phone\n", "xlsx": GOOD[:40], "vcard": b"BEGIN:VCARD\n"}[form]
            data = bytearray(start + chance.randbytes(chance.randint(0, 300)).replace(b"\0", b""))
        path.write_bytes(data)
        with contextlib.suppress(UsageError):
            list(read_candidates(path, form, {}))
