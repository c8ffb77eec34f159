"""`contacts export`: what it writes, `contacts import` finds the same."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from syncer.core.import_plan import Holder, Matches, RowKey, decide, key_of
from syncer.core.import_rows import written_number
from syncer.core.model import Fields
from syncer.core.normalise import to_e164
from syncer.formats.contacts_file import read_candidates
from syncer.formats.writers import WRITERS, Exported
from tests.cli.conftest import Syncer

#: What a person or a vendor may have put into a field.
ODD = [
    "=1+1",
    "+A1",
    "@x",
    "-2",
    '="x"',
    "_x0041_",
    "a\nb",
    "a\\,;b",
    " x  y ",
    "e\u0301",
    "\x1b\x85x",
    "a\ufffe\uffffb",
    "#N/A",
    "Mr.",
    "'x",
    '"q"',
]
#: Without lone surrogates, which no text from SQLite has, and what Google writes between two values.
TEXT = st.one_of(
    st.sampled_from(["", *ODD]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12),
).filter(lambda text: ":::" not in text)
PHONE = st.one_of(
    st.integers(9_200_000_000, 9_299_999_999).map(lambda number: f"+91{number}"),
    st.sampled_from(["98xxxxxx01", "9.19E+11", "tel:x", "'x", ""]),
    TEXT,
)
CONTACT = st.builds(Fields, PHONE, TEXT, TEXT, TEXT, TEXT, TEXT)


def verdicts(contacts: list[Fields], form: str, folder: Path) -> list[str]:
    """Write contacts and import them again. Returns the plan of each row."""
    file = folder / "contacts"
    with file.open("wb") as sink:
        WRITERS[form]([Exported("telecmi", "main", one) for one in contacts], sink, False)
    known: dict[RowKey, list[Holder]] = {}
    for row, one in enumerate(contacts, start=1):
        written = written_number(one.phone_no)
        e164 = to_e164(written, "IN")
        known.setdefault(RowKey("", e164, "" if e164 else written), []).append(Holder(row, one))
    out, first = [], {}
    for candidate in read_candidates(file, form, {}):
        key = key_of(candidate, "IN")
        earlier = first.setdefault(key, candidate.row)
        planned = decide(
            candidate, key, Matches(known.get(key, ())), "IN", None if earlier == candidate.row else earlier
        )
        out.append(f"{planned.verdict} {planned.reason}".strip())
    return out


@pytest.mark.parametrize("form", ["csv", "vcard", "xlsx"])
def test_what_is_exported_is_imported_as_the_same(form: str, tmp_path: Path) -> None:
    # One directory for all examples; each writes its file again.
    @settings(max_examples=40 if form == "xlsx" else 120, deadline=None)
    @given(st.lists(CONTACT, max_size=5, unique_by=lambda one: written_number(one.phone_no)))
    def check(contacts: list[Fields]) -> None:
        found = verdicts(contacts, form, tmp_path) if contacts or form != "vcard" else []
        # A row without any value is a blank line in a table.
        assert len(contacts) - 1 <= len(found) <= len(contacts)
        assert set(found) <= {"same"}, found

    check()


@pytest.mark.parametrize("form", ["csv", "vcard", "xlsx"])
def test_several_values_in_one_field_are_exported_and_imported_as_one(form: str, tmp_path: Path) -> None:
    """Google's exports separate them like this, and somebody may have loaded one into the vendor's portal."""
    emails = Fields("919200000001", "Asha", "Example", "asha@example.com ::: a@example.com")
    numbers = Fields("9200000002 ::: 9200000003", "Ravi", "Sample")
    assert verdicts([emails, numbers], form, tmp_path) == ["same", "same"]


@pytest.mark.parametrize("name", ["all.csv", "all.xlsx", "all.vcf"])
def test_a_whole_mirror_is_the_same_row_by_row(reading: Syncer, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    assert reading.ok("contacts", "export", str(file)).out == f"6 contacts written to {file}.\n"
    done = reading.ok("contacts", "import", str(file), "--json").json
    assert done["counts"] == {"add": 0, "update": 0, "same": 6, "duplicate": 0, "unreadable": 0}
    assert sorted(row["contact"] for row in done["rows"]) == [1, 2, 3, 6, 7, 8]


def test_csv_and_json_on_stdout_have_the_columns_of_the_table(reading: Syncer) -> None:
    rows = list(csv.DictReader(io.StringIO(reading.ok("contacts", "export").out)))
    assert rows[0] == {
        "phone_no": "+919200000001",
        "first_name": "Asha",
        "last_name": "Example",
        "email_id": "asha@example.com",
        "company": "Acme Example",
        "job_title": "Manager",
    }
    listed = json.loads(reading.ok("contacts", "export", "--format", "json").out)
    assert listed[0] == {"provider": "telecmi", "account": "main"} | rows[0] and len(listed) == 6


def test_no_cell_of_a_workbook_is_a_formula(syncer: Syncer, tmp_path: Path) -> None:
    syncer.sql("UPDATE telecmi_contacts SET company = '=HYPERLINK(\"x\")', job_title = '+1' WHERE id = 1")
    syncer.ok("contacts", "export", str(tmp_path / "all.xlsx"))
    cells = [
        cell for row in load_workbook(tmp_path / "all.xlsx").active.iter_rows() for cell in row if cell.value
    ]
    assert {cell.data_type for cell in cells} == {"s"} and '=HYPERLINK("x")' in {cell.value for cell in cells}


def test_a_vcard_is_what_other_programs_read(reading: Syncer) -> None:
    card = (
        reading.ok("contacts", "export", "--format", "vcard").out.replace("\r\n", "\n").split("END:VCARD")[0]
    )
    assert card == (
        "BEGIN:VCARD\nVERSION:3.0\nN:Example;Asha;;;\nFN:Asha Example\nTEL;TYPE=VOICE:+919200000001\n"
        "EMAIL;TYPE=INTERNET:asha@example.com\nORG:Acme Example\nTITLE:Manager\n"
    )


def test_other_providers_and_accounts(syncer: Syncer) -> None:
    syncer.as_program(
        "INSERT INTO smartflo_contacts (account, smartflo_id, phone_number, phone_e164, name, company_name) "
        "VALUES ('main', 's1', '9200000090', '+919200000090', 'Nila Devi Example', 'Acme')"
    )
    flo = list(csv.reader(io.StringIO(syncer.ok("contacts", "export", "--provider", "smartflo").out)))
    assert flo[1:] == [["+919200000090", "Nila Devi", "Example", "", "Acme", ""]]
    every = list(csv.DictReader(io.StringIO(syncer.ok("contacts", "export", "--provider", "any").out)))
    assert len(every) == 7 and {row["account"] for row in every} == {"main"}
    assert syncer("contacts", "export", "--account", "other").code == 2


def test_several_accounts_are_told_apart(syncer: Syncer, tmp_path: Path) -> None:
    second = '[telecmi.second]\nuser_id = "102_1111113"\npassword = "a-password"\nvoicemails = { enabled = false }\n\n[smartflo.main]'
    syncer.write_config("[smartflo.main]", second)
    syncer.ok("db", "upgrade")
    typed = "INSERT INTO telecmi_contacts (account, phone_no, first_name, last_name) VALUES ('second', '9200000091', 'Nila', 'Example')"
    assert syncer.ok(
        "contacts",
        "add",
        "--account",
        "second",
        "--phone",
        "9200000092",
        "--first-name",
        "Bina",
        "--last-name",
        "Example",
    )
    syncer.sql(typed)
    for name in ("all.csv", "all.vcf"):
        file = str(tmp_path / name)
        syncer.ok("contacts", "export", file)
        assert syncer.ok("contacts", "import", file, "--json").json["counts"]["same"] == 8
        rows = syncer.ok("contacts", "import", file, "--account", "second", "--json").json["rows"]
        assert [row["verdict"] for row in rows].count("same") == 2
        assert sum("it belongs to account main" in (row["reason"] or "") for row in rows) == 6
    nameless = tmp_path / "nameless.csv"
    nameless.write_text("Name,Phone\nNila Example,9200000093\n")
    done = syncer("contacts", "import", str(nameless))
    assert done.code == 2 and "--account is needed: there are main, second" in done.err


def test_a_file_is_never_overwritten_and_its_name_says_the_format(reading: Syncer, tmp_path: Path) -> None:
    file = tmp_path / "there.csv"
    file.write_text("mine")
    assert reading("contacts", "export", str(file)).code == 1 and file.read_text() == "mine"
    done = reading("contacts", "export", str(tmp_path / "people.odt"))
    assert done.code == 2 and list(tmp_path.iterdir()) == [file]
    assert reading("contacts", "export", str(tmp_path / "none" / "x.csv")).code == 1
