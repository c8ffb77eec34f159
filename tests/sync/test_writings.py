"""The same rows written in another way at each pull: no change, no write, no row twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.office import Office, Rewrite
from tests.sync.conftest import MakeOffice

LISTS = ("contacts", "voicemail", "results")
TABLES = (
    "telecmi_contacts", "telecmi_user_contacts", "telecmi_voicemails", "telecmi_notes", "smartflo_contacts",
    "smartflo_contact_groups",
)  # fmt: skip
IDS = ("id", "contact_id", "contact_group_id", "mobile")


def reversed_keys(row: dict[str, Any]) -> dict[str, Any]:
    return dict(reversed(row.items()))


def reversed_lists(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: [reversed_keys(v) if isinstance(v, dict) else v for v in reversed(value)]
        if isinstance(value, list)
        else value
        for key, value in row.items()
    }


def blanks_as(*blank: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Every blank written like the given one, or left out."""

    def rewrite(row: dict[str, Any]) -> dict[str, Any]:
        return {
            key: blank[0] if value in (None, "", []) else value
            for key, value in row.items()
            if blank or value not in (None, "", [])
        }

    return rewrite


def digits_as_text(row: dict[str, Any]) -> dict[str, Any]:
    return {key: str(value) if isinstance(value, int) else value for key, value in row.items()}


def text_as_numbers(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: int(value) if isinstance(value, str) and value.isdecimal() else value
        for key, value in row.items()
    }


def numbers_as_floats(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: float(value) if isinstance(value, int) and value < 2**53 else value for key, value in row.items()
    }


def ids_as(form: Callable[[str], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Every id in another spelling."""

    def rewrite(row: dict[str, Any]) -> dict[str, Any]:
        return {
            key: form(str(value)) if key in IDS and value is not None else value for key, value in row.items()
        }

    return rewrite


def other_offset(row: dict[str, Any]) -> dict[str, Any]:
    """`+0000` as `Z`: the same moment."""
    return {
        key: value.replace("+0000", "Z") if key.endswith("_at") and isinstance(value, str) else value
        for key, value in row.items()
    }


WRITINGS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "keys in another order": reversed_keys,
    "inner lists in another order": reversed_lists,
    "blank as null": blanks_as(None),
    "blank as an empty text": blanks_as(""),
    "blank left out": blanks_as(),
    "numbers as text": digits_as_text,
    "text as numbers": text_as_numbers,
    "numbers as floats": numbers_as_floats,
    "ids with blanks": ids_as(lambda text: f" {text} "),
    "ids as decimals": ids_as(lambda text: f"{text}.0" if text.isdecimal() else text),
    "ids with a sign": ids_as(lambda text: f"+{text}" if text.isdecimal() else text),
    "ids in capitals": ids_as(str.upper),
    "ids in braces": ids_as(lambda text: f"{{{text.upper()}}}" if "-" in text else text),
    "stamps with another offset": other_offset,
}


def rows_of(office: Office) -> dict[str, Any]:
    return {name: office.sql(f"SELECT * FROM {name} ORDER BY id") for name in TABLES}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """An office with some of everything, pulled once as the vendors write."""
    folder = tmp_path_factory.mktemp("writings")
    office = Office(folder, smartflo={"token": "sandbox-token", "contacts": {"full_every": "1m"}})
    office.world.seed(contacts=12, voicemails=6, smartflo=12, user_contacts=12)
    office.world.user_contact_upsert(9200000099, {"name": "Asha"}, notes=[{"msg": "one"}, {"msg": "two"}])
    office.world.smartflo_upsert(
        90,
        {"name": "Ravi", "custom_fields": [{"name": "City", "value": None}, {"name": "Code", "value": "7"}]},
    )
    assert all(run.outcome == "ok" for run in office.run())
    yield office
    office.close()


@pytest.mark.parametrize("writing", WRITINGS)
def test_the_same_rows_written_otherwise_are_no_change(filled: Office, writing: str) -> None:
    office, before, size = filled, rows_of(filled), filled.log_size()

    def rewrite(path: str, asked: dict[str, Any], body: Any) -> Any:
        for name in LISTS:
            if isinstance(body, dict) and isinstance(body.get(name), list):
                body[name] = [WRITINGS[writing](row) for row in body[name]]
        return body

    for office.rewrite in (rewrite, None):
        office.clock.pass_(minutes=10)
        runs = office.run()
        assert {run.job: run.problem for run in runs if run.outcome != "ok"} == {}
        assert [run.added + run.changed + run.removed + run.raw_only for run in runs] == [0] * len(runs)
    assert rows_of(office) == before and office.log_size() == size


def test_an_id_that_is_written_otherwise_at_each_pull_is_one_contact(make_office: MakeOffice) -> None:
    office = make_office(only=("telecmi-contacts", "telecmi-push"), telecmi={"push": {"deletes": True}})
    ids = [
        office.world.contact_insert(
            {"phone_no": f"91920000000{n}", "first_name": "Asha", "last_name": f"Rao{n}"}
        )
        for n in (1, 2, 3)
    ]

    def spelled(spell: Callable[[str], str]) -> Rewrite:
        def rewrite(path: str, asked: dict[str, Any], body: Any) -> Any:
            for row in body.get("contacts", []):
                row["contact_id"] = spell(row["contact_id"])
            return body

        return rewrite

    for spell in (str.upper, "{{{}}}".format, str.lower, " {} ".format, str.upper):
        office.rewrite = spelled(spell)
        assert office.contacts().outcome == "ok"
        assert office.sql("SELECT contact_id FROM telecmi_contacts ORDER BY phone_no") == [
            (one,) for one in ids
        ]
    assert office.log_size() == 3


def test_one_id_in_four_writings_is_one_contact_that_holds_still(make_office: MakeOffice) -> None:
    office = make_office(only=("smartflo-contacts",))
    office.world.smartflo_upsert(1, {"phone_number": "+919200000001", "name": "Ravi Example"})
    spellings: list[Any] = [1, "1", 1.0, " 1 ", "1.0", "+1"]

    def rewrite(path: str, asked: dict[str, Any], body: Any) -> Any:
        if path == "/v1/contacts" and body.get("results"):
            spellings.append(spellings.pop(0))
            (row,) = body["results"]
            body["results"] = [
                row | {"id": one, "name": f"Ravi {type(one).__name__} {one}"} for one in spellings
            ]
        return body

    office.rewrite = rewrite
    assert office.run(full=True)[0].outcome == "ok"
    assert office.sql("SELECT smartflo_id FROM smartflo_contacts") == [("1",)]
    before, size = office.everything(), office.log_size()
    for _ in range(3):
        assert office.run(full=True)[0].outcome == "ok"
    assert office.everything() == before and office.log_size() == size


@pytest.mark.parametrize("written", [str.upper, lambda text: f"{{{text}}}"])
def test_ids_go_back_as_the_vendor_writes_them(
    make_office: MakeOffice, written: Callable[[str], str]
) -> None:
    """A vendor that looks them up letter by letter."""
    office = make_office(only=("telecmi-contacts", "telecmi-push"), telecmi={"push": {"deletes": True}})
    for n in (1, 2):
        office.world.contact_insert(
            {"phone_no": f"91920000000{n}", "first_name": "Asha", "last_name": f"Rao{n}"}
        )
    asked: list[str] = []

    def rewrite(path: str, said: dict[str, Any], body: Any) -> Any:
        rows = said.get("contacts", []) if path.endswith("update") else []
        asked.extend(row["contact_id"] for row in rows)
        asked.extend(said.get("contact_ids", []))
        asked.extend([said["contact_id"]] if "contact_id" in said else [])
        for row in body.get("contacts", []):
            row["contact_id"] = written(row["contact_id"])
        return body

    office.rewrite = rewrite
    office.run()
    office.sql("UPDATE telecmi_contacts SET company = 'Acme Example' WHERE last_name = 'Rao1'")
    office.sql("DELETE FROM telecmi_contacts WHERE last_name = 'Rao2'")
    office.run()
    assert asked and all(one == written(one.strip("{}").lower()) for one in asked)
