"""What a row of a file says, which column is which, and what becomes of the row."""

from __future__ import annotations

from typing import Any

import pytest

from syncer.core.import_columns import UnknownColumnError, find_columns, read_row
from syncer.core.import_plan import Holder, Matches, PlannedRow, RowKey, Verdict, decide, key_of, usable
from syncer.core.import_rows import (
    Candidate,
    LabelledNumber,
    card_candidate,
    cell,
    names,
    pick_number,
    tidy,
    written_number,
)
from syncer.core.model import Fields

ASHA = Fields("919200000001", "Asha", "Example", "asha@example.com", "Acme", "Manager")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, ""),
        ("  Asha   Example ", "Asha Example"),
        ("आशा\u00a0\n x\x00\x1b\x85y\x9f", "आशा x y"),
        ("a\ufffe\uffff\u202eb", "a\u202eb"),
        ("e\u0301", "é"),
    ],
)
def test_a_value_is_tidied(text: str | None, expected: str) -> None:
    assert tidy(text) == expected


def test_what_keeps_a_spreadsheet_from_reading_a_text_is_taken_off() -> None:
    assert cell('="9200000001"') == "9200000001"
    assert cell('="a ""b"""') == 'a "b"'
    assert written_number("'+919200000001") == "+919200000001"
    assert written_number("TEL: +91 92000") == "+91 92000" and written_number("tell 1") == "tell 1"
    assert written_number(None) == "" and written_number("tel:9200000001.00") == "9200000001"


def test_the_preferred_number_counts_else_a_mobile_else_the_first() -> None:
    home, cell_phone = LabelledNumber("1", "home"), LabelledNumber("2", "Mobile")
    assert pick_number([]) == ("", ())
    assert pick_number([LabelledNumber(""), home]) == ("1", ())
    assert pick_number([home, cell_phone]) == ("2", ("1 (home)",))
    assert pick_number([home, cell_phone, LabelledNumber("3", "", preferred=True)]) == (
        "3",
        ("1 (home)", "2 (Mobile)"),
    )
    assert pick_number(
        [
            LabelledNumber("9200000001"),
            LabelledNumber("+91 92000 00001"),
            LabelledNumber("5"),
            LabelledNumber("5"),
        ]
    ) == (
        "9200000001",
        ("5",),
    )


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("Asha", "", "Example", "Other Name"), ("Asha", "Example", False)),
        (("Asha", "Devi", "Example", ""), ("Asha Devi", "Example", False)),
        (("Asha", "", "", "Asha Example"), ("Asha", "Example", True)),
        (("Asha", "", "", "Asha"), ("Asha", "", False)),
        (("", "", "", "Asha"), ("", "Asha", True)),
        (("", "", "", ""), ("", "", False)),
    ],
)
def test_names(parts: tuple[str, str, str, str], expected: tuple[str, str, bool]) -> None:
    assert names(*parts) == expected


def card(**more: Any) -> Candidate:
    given: dict[str, Any] = {
        "structured": None,
        "full": "",
        "numbers": [],
        "email": "",
        "company": "",
        "title": "",
    }
    return card_candidate(1, **(given | more))


def test_a_card_that_repeats_something_as_its_name_has_no_name() -> None:
    numbers = [LabelledNumber("9200000001", "cell")]
    assert card(full="Asha Example", numbers=numbers).fields == Fields("9200000001", "Asha", "Example")
    assert card(full="Acme Example", company="Acme Example").fields == Fields(company="Acme Example")
    assert card(full="9200000001", numbers=numbers).fields == Fields("9200000001")
    assert card(structured=["Example", "Asha", "Devi", "Ms"], title="Dr.").fields == Fields(
        "", "Asha Devi", "Example"
    )


@pytest.mark.parametrize(
    ("structured", "full", "expected"),
    [
        (["Nila Example"], "", ("Nila", "Example", True)),
        (["Nila Example"], "Nila Example", ("Nila", "Example", True)),
        (["de Example"], "Nila de Example", ("", "de Example", False)),
        (["de Example", "Nila"], "", ("Nila", "de Example", False)),
    ],
)
def test_a_whole_name_as_the_family_name_is_split(
    structured: list[str], full: str, expected: tuple[str, str, bool]
) -> None:
    found = card_candidate(1, structured=structured, full=full, numbers=[], email="", company="", title="")
    assert (found.fields.first_name, found.fields.last_name, found.one_name) == expected


def test_a_whole_card() -> None:
    numbers = [LabelledNumber("044 2345 6789", "home"), LabelledNumber("tel:9200000001", "cell")]
    found = card_candidate(
        7,
        structured=None,
        full="Asha Devi Example",
        numbers=numbers,
        email=" asha@example.com ",
        company="Acme",
        title="Manager",
        account="main",
    )
    fields = Fields("9200000001", "Asha Devi", "Example", "asha@example.com", "Acme", "Manager")
    assert found == Candidate(7, fields, True, ("044 2345 6789 (home)",), "main")
    plain = card(structured=["Example", "Asha"], email="asha@example.com", full="asha@example.com")
    assert plain == Candidate(1, Fields("", "Asha", "Example", "asha@example.com"))


# -- columns -----------------------------------------------------------------------------------------


def test_headers_are_known_in_any_spelling_and_the_best_column_counts() -> None:
    columns = find_columns(
        ["Home Phone", "MOBILE_PHONE", "E-mail Address", "Title", "Job Title", "", "?"], {}
    )
    assert columns.places == {"phone_no": (1, 0), "email_id": (2,), "job_title": (4, 3)}
    assert columns.known == 5


def test_map_names_columns_without_regard_to_case_and_blanks() -> None:
    columns = find_columns(["Wer", "Phone", "Name"], {"phone_no": " wer ", "first_name": "name"})
    assert columns.places == {"phone_no": (0,), "first": (2,)}
    with pytest.raises(UnknownColumnError, match="other"):
        find_columns(["Phone"], {"phone_no": "other"})


def test_a_row_of_a_table() -> None:
    columns = find_columns(["Name", "Phone 1 - Type", "Phone 1 - Value", "Account"], {})
    assert read_row(columns, 2, ["", " ", ""]) is None
    row = read_row(columns, 3, ["Asha Example", "* Work", "1 ::: 2", "main", ""])
    assert row == Candidate(3, Fields("1", "Asha", "Example"), True, ("2 (Work)",), "main")
    assert read_row(columns, 4, ["Asha"]) == Candidate(4, Fields("", "", "Asha"), True)
    shifted = read_row(columns, 5, ["a", "b", "c", "d", "e"])
    assert shifted is not None and shifted.row == 5
    assert shifted.problem.startswith("it has 5 cells and the header 4")


def test_a_whole_row_of_a_table() -> None:
    header = "\ufeffFirst Name,Middle Name,Last Name,Phone 1 - Label,Phone 1 - Value,Phone 2 - Label,Phone 2 - Value,"
    header += "E-mail 4 - Value,Company,Job Title,Title"
    columns = find_columns(header.split(","), {})
    cells = ["Asha", "Devi", "Example", "Mobile", "1", "* Work", "2", "a@x ::: b@x", "Acme", "Manager", "Ms"]
    fields = Fields("2", "Asha Devi", "Example", "a@x", "Acme", "Manager")
    assert read_row(columns, 2, cells) == Candidate(2, fields, False, ("1 (Mobile)",))
    assert columns.header[0] == "First Name" and columns.labels == {4: 3, 6: 5}
    cells[9] = "Mr."
    found = read_row(columns, 2, cells)
    assert found is not None and found.fields.job_title == ""


def test_a_table_without_numbers() -> None:
    columns = find_columns(["Name"], {})
    assert columns.labels == {} and read_row(columns, 2, ["Asha Example"]) == Candidate(
        2, Fields("", "Asha", "Example"), True
    )


def test_first_and_last_name_of_one_column() -> None:
    columns = find_columns(["Who", "Phone"], {"first_name": "who", "last_name": "who"})
    row = read_row(columns, 2, ["Asha Devi Example", "1"])
    assert row == Candidate(2, Fields("1", "Asha Devi", "Example"), True)


# -- the plan ----------------------------------------------------------------------------------------


def plan(fields: Fields, *holders: Holder, first_row: int | None = None, **more: Any) -> Any:
    one_name = more.pop("one_name", False)
    candidate = Candidate(9, fields, one_name, problem=more.pop("problem", ""), others=more.pop("others", ()))
    key = key_of(candidate, "IN")
    return decide(candidate, key, Matches(holders, **more), "IN", first_row)


def test_the_key_of_a_row_is_its_number_or_what_is_written() -> None:
    assert key_of(Candidate(1, ASHA, account="main"), "IN") == RowKey("main", "+919200000001", "")
    assert key_of(Candidate(1, Fields("98xxxxxx01")), "IN") == RowKey("", None, "98xxxxxx01")


def test_a_new_number_is_added_with_its_digits() -> None:
    found = plan(ASHA._replace(phone_no="092000 00001", email_id=""), others=("5 (home)",))
    assert (found.row, found.verdict, found.reason) == (9, Verdict.ADD, "left out: 5 (home)")
    assert found.fields == {
        "phone_no": "919200000001",
        "first_name": "Asha",
        "last_name": "Example",
        "company": "Acme",
        "job_title": "Manager",
    }


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"last_name": ""}, "it has no last name"),
        ({"first_name": ""}, "it has no first name"),
        ({"company": "Ac\ufffdme"}, "company: a letter was lost"),
        ({"company": "#N/A"}, "company: a formula failed (#N/A)"),
        ({"phone_no": ""}, "it has no phone number"),
        ({"phone_no": "9.2E+09"}, "the phone number 9.2E+09 was shortened"),
        ({"phone_no": "98xxxxxx01"}, "the phone number is masked"),
    ],
)
def test_what_cannot_be_added_is_unreadable(changed: dict[str, str], reason: str) -> None:
    found = plan(ASHA._replace(**changed))
    assert found == PlannedRow(9, Verdict.UNREADABLE, reason=found.reason)
    assert found.reason.startswith(reason)


def test_a_forgotten_person_and_a_row_with_a_problem_are_unreadable() -> None:
    forgotten = "this person was forgotten (`syncer forget`), and an import does not bring anybody back"
    assert plan(ASHA, forgotten=True) == PlannedRow(9, Verdict.UNREADABLE, reason=forgotten)
    assert plan(ASHA, Holder(1, ASHA), forgotten=True).verdict is Verdict.SAME
    assert plan(ASHA, problem="odd") == PlannedRow(9, Verdict.UNREADABLE, reason="odd")


def test_only_what_differs_is_updated_and_blanks_change_nothing() -> None:
    there = Holder(1, ASHA._replace(company=" Acme\u00a0 "))
    assert plan(ASHA._replace(email_id="", job_title=""), there).verdict is Verdict.SAME
    found = plan(ASHA._replace(company="New"), there)
    assert found == PlannedRow(9, Verdict.UPDATE, {"company": "New"}, contact=1)
    others = plan(ASHA._replace(company="New"), there, others=("5 (home)", "6"))
    assert others.reason == "left out: 5 (home), 6"
    assert plan(ASHA, there, others=("5",)) == PlannedRow(9, Verdict.SAME, reason="left out: 5", contact=1)
    lost = plan(ASHA._replace(company="\ufffd"), there)
    assert (lost.row, lost.verdict, lost.contact) == (9, Verdict.UNREADABLE, 1)
    renamed = plan(ASHA._replace(first_name="Nila"), there)
    assert renamed.fields == {"first_name": "Nila"}


def test_a_name_in_one_piece_is_compared_as_one() -> None:
    there = Holder(1, Fields("919200000001", "Asha", "Devi Example"))
    assert plan(Fields("9200000001", "Asha Devi", "Example"), there, one_name=True).verdict is Verdict.SAME
    assert plan(Fields("9200000001", "", "Asha"), there, one_name=True).verdict is Verdict.SAME
    found = plan(Fields("9200000001", "Nila", "Example"), there, one_name=True)
    assert found.fields == {"first_name": "Nila", "last_name": "Example"}
    both = Fields("9200000001", "Asha Devi", "Example", company="New")
    assert plan(both, there, one_name=True).fields == {"company": "New"}
    first = Holder(1, Fields("919200000001", "Asha"))
    assert plan(Fields("9200000001", "", "Nila"), first, one_name=True).verdict is Verdict.SAME
    other = Fields("9200000001", "Nila Devi", "Example")
    assert plan(other, Holder(1, Fields("919200000001", "Asha Devi", "Example")), one_name=True).fields == {
        "first_name": "Nila Devi"
    }
    nameless = Holder(1, Fields("919200000001"))
    assert plan(Fields("9200000001", "", "Asha"), nameless, one_name=True).fields == {"last_name": "Asha"}


def test_the_same_number_again_is_a_duplicate_of_that_row() -> None:
    found = plan(ASHA, first_row=2)
    reason = "row 2 of the file has the same number"
    assert found == PlannedRow(9, Verdict.DUPLICATE, of=2, reason=reason)
    assert plan(ASHA, first_row=12).reason == "row 12 of the file has the same number, and is more complete"
    assert plan(ASHA, Holder(1, ASHA), first_row=2) == PlannedRow(
        9, Verdict.DUPLICATE, of=2, reason=reason, contact=1
    )


def test_the_first_of_the_most_usable_rows_counts() -> None:
    assert usable(Candidate(2, ASHA)) == 2
    assert usable(Candidate(2, ASHA._replace(first_name=""))) == usable(Candidate(2)) == 1
    assert usable(Candidate(2, ASHA, problem="x")) == usable(Candidate(2, ASHA._replace(company="#N/A"))) == 0


def test_of_several_holders_the_one_that_is_alike_is_meant() -> None:
    holders = Holder(1, ASHA), Holder(2, ASHA._replace(first_name="Nila"))
    assert plan(ASHA._replace(first_name="Nila"), *holders, first_row=2).contact == 2
    found = plan(ASHA._replace(first_name="Other"), *holders)
    reason = "contacts 1, 2 all have this number: edit the one that is meant"
    assert found == PlannedRow(9, Verdict.DUPLICATE, of=1, reason=reason, contact=1)
    assert plan(Fields("98xxxxxx01", "Other", "Example"), *holders).verdict is Verdict.UNREADABLE


def test_a_number_that_cannot_be_read_means_the_contact_that_has_it_so() -> None:
    there = Holder(1, Fields("98xxxxxx01", "Asha", "Example"))
    assert plan(Fields("98xxxxxx01", "Asha", "Example"), there).verdict is Verdict.SAME
    assert plan(Fields("98xxxxxx01", "Nila", ""), there).fields == {"first_name": "Nila"}


def test_a_contact_whose_delete_waits_is_not_added_again() -> None:
    found = plan(ASHA, pending_delete=7)
    reason = "contact 7 has this number, and its delete is not upstream yet"
    assert found == PlannedRow(9, Verdict.DUPLICATE, of=7, reason=reason, contact=7)
