"""The values that everything else is made of."""

from __future__ import annotations

from syncer.core.model import Fields, Page, Row, SetAside
from tests.core.examples import BASE


def test_null_and_missing_fields_are_empty() -> None:
    values = {"phone_no": 919200000001, "first_name": None, "company": "Acme", "other": "x"}
    assert Fields.of(values) == Fields("919200000001", company="Acme")


def test_fields_by_name() -> None:
    assert BASE.get("company") == "Acme" and Fields.of(BASE.asdict()) == BASE
    assert BASE._replace(company="Apex", job_title="").changed_from(BASE) == {
        "company": "Apex",
        "job_title": "",
    }


def test_a_page_counts_what_could_not_be_read_too() -> None:
    page = Page((Row("1", {}, '{"id":1}'),), (SetAside("[1]", "no identity"),))
    assert (page.size, page.weight) == (2, 11)
