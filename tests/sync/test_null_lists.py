"""Lists that are null, an empty object, or absent: empty if that is certain, otherwise proof of nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.office import Office, Rewrite
from tests.sync.conftest import MakeOffice

LISTS = {
    "/v3/contact/get": "contacts",
    "/v2/user/contact/get": "contacts",
    "/v2/voicemail": "voicemail",
    "/v1/contacts": "results",
    "/v1/contact/groups": "results",
}
TABLES = ("telecmi_contacts", "telecmi_user_contacts", "smartflo_contacts", "smartflo_contact_groups")

#: Means that the key is left out.
MISSING = object()


def blank(
    value: Any, *, count: int | None = None, when: Callable[[dict[str, Any]], bool] | None = None
) -> Rewrite:
    """Vendors that write an empty list as `value`, and may say `count` with it; `when`: also other lists."""

    def rewrite(path: str, asked: dict[str, Any], body: Any) -> Any:
        name = LISTS.get(path, "")
        if body.get(name, MISSING) != [] and not (when is not None and name and when(asked)):
            return body
        if value is MISSING:
            del body[name]
        else:
            body[name] = value
        if count is not None and "count" in body:
            body["count"] = count
        return body

    return rewrite


def fill(office: Office) -> None:
    """Some of everything upstream, so that lists have pages past their last."""
    office.world.seed(contacts=123, voicemails=12, smartflo=23, user_contacts=23)


def counts(office: Office) -> list[int]:
    return [office.one(f"SELECT count(*) FROM {name} WHERE deleted_at IS NULL") for name in TABLES]


@pytest.mark.parametrize(("value", "count"), [(None, None), (None, 0), (MISSING, 0), ({}, None)])
@pytest.mark.parametrize("filled", [True, False], ids=["rows", "empty account"])
def test_an_empty_list_may_be_written_in_many_ways(
    make_office: MakeOffice, value: Any, count: int | None, filled: bool
) -> None:
    office = make_office(smartflo={"token": "sandbox-token", "contacts": {"full_every": "1m"}})
    if filled:
        fill(office)
    office.rewrite = blank(value, count=count)
    for _ in range(2):
        runs = office.run()
        assert {run.job: run.problem for run in runs if run.outcome != "ok"} == {}
        office.clock.pass_(minutes=10)
    plain = make_office()
    if filled:
        fill(plain)
        plain.run()
    assert counts(office) == counts(plain)
    size = office.log_size()
    office.run()
    assert office.log_size() == size


@pytest.mark.parametrize("value", [None, MISSING])
@pytest.mark.parametrize("page", ["first", "later"])
@pytest.mark.parametrize("count", [True, False], ids=["counts rows", "counts none"])
def test_a_list_that_was_full_removes_nothing_when_it_is_blank(
    make_office: MakeOffice, value: Any, page: str, count: bool
) -> None:
    """Nothing goes without the usual proof: not for a blank first page, and not for one in the middle."""
    office = make_office(smartflo={"token": "sandbox-token", "contacts": {"full_every": "1m"}})
    office.world.settings.change({"smartflo.max_limit": 10})
    fill(office)
    assert all(run.outcome == "ok" for run in office.run())
    before = counts(office)

    def when(asked: dict[str, Any]) -> bool:
        if "contact_id" in asked or "contact_group_id" in asked:
            return False
        first = int(asked.get("page", 1)) == 1 and not asked.get("page_state")
        return first == (page == "first")

    office.rewrite = blank(value, count=None if count else 0, when=when)
    for _ in range(4):
        office.clock.pass_(minutes=10)
        for run in office.run():
            assert run.outcome == "incomplete" or run.removed == 0
    assert counts(office) == before
    office.rewrite = None
    assert all(run.outcome == "ok" for run in office.run())
    assert counts(office) == before
