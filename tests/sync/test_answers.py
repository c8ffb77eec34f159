"""An outage is never a deletion: each list call against each kind of bad answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from syncer.sync import jobs
from tests.grid import sample
from tests.office import Office
from tests.sync.conftest import MakeOffice

ROWS = 42  # in pages of six: the seventh is the last one with rows, and more of them than may just go


@dataclass(frozen=True)
class ListCall:
    """One list call: the job that makes it, its path, the table that it fills."""

    job: str
    path: str
    table: str


CALLS = {
    "directory": ListCall("telecmi-contacts", "/v3/contact/get", "telecmi_contacts"),
    "user-list": ListCall("telecmi-user-contacts", "/v2/user/contact/get", "telecmi_user_contacts"),
    "voicemail": ListCall("telecmi-voicemails", "/v2/voicemail", "telecmi_voicemails"),
    "smartflo": ListCall("smartflo-contacts", "/v1/contacts", "smartflo_contacts"),
    "groups": ListCall("smartflo-contacts", "/v1/contact/groups", "smartflo_contact_groups"),
}

#: Each kind of bad answer, with what its fault takes.
BAD: dict[str, dict[str, Any]] = {
    "code500": {"kind": "code", "code": 500},
    "code400": {"kind": "code", "code": 400, "message": "Invalid request"},
} | {
    kind: {"kind": kind}
    for kind in (
        "html200", "html502", "junk", "half_json", "list", "object", "null", "code_only", "zero_rows", "drop", "bad_token",
    )
}  # fmt: skip


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """An office whose five lists have many pages each, pulled once."""
    office = Office(tmp_path_factory.mktemp("answers"), telecmi={"voicemails": {"since": "1d"}})
    world = office.world
    world.settings.change({"telecmi.page_cap": 6, "smartflo.page_cap": 6})
    now = round(world.now() * 1000)
    for n in range(ROWS):
        world.contact_insert(
            {"phone_no": f"91920000{n:04d}", "first_name": "Asha", "last_name": f"Rao {n}", "company": "X"}
        )
        world.user_contact_upsert(f"920000{n:04d}", {"name": f"Asha Rao {n}"})
        world.voicemail_insert(now - (n + 1) * 60_000, 919_300_000_000 + n)
        world.group_upsert(n + 1)
        world.smartflo_upsert(n + 1, {"phone_number": f"+91940000{n:04d}", "name": f"Ravi Iyer {n}"})
    assert jobs.exit_code(office.run()) == 0
    yield office
    office.close()


@pytest.mark.parametrize("call, bad, page", sample(3, CALLS, BAD, [1, 7]))
def test_failures_01_a_bad_answer_removes_nothing(seeded: Office, call: str, bad: str, page: int) -> None:
    asked = CALLS[call]
    before = seeded.everything()
    # Voicemail has credentials of its own; of the others, another call accepts the token.
    expected = 77 if (call, bad) == ("voicemail", "bad_token") else 1
    seeded.fault(asked.path, times=None, match={"page": page}, **BAD[bad])
    for _ in range(2):
        runs = seeded.run(asked.job, full=True)
        assert runs[0].outcome != "ok", runs[0].certificate
        assert jobs.exit_code(runs) == expected, runs[0].problem
        assert seeded.sql(f"SELECT * FROM {asked.table} ORDER BY 1") == before[asked.table]
    seeded.world.faults.clear()
    healed = seeded.run(asked.job, full=True)[0]
    assert (healed.outcome, healed.problem) == ("ok", "")
    after = seeded.everything()
    assert not [row for row in after.pop("held") if row[-2] is None], "nothing is left open"
    before.pop("held")
    assert after == before


@pytest.mark.parametrize("call", CALLS)
def test_failures_01_an_answer_that_is_cut_for_good_does_not_become_the_truth(
    seeded: Office, call: str
) -> None:
    """A wrong answer that is the same in many runs: repetition proves nothing."""
    asked = CALLS[call]
    before = seeded.everything()[asked.table]
    seeded.fault(asked.path, "zero_rows", times=None, match={"page": 7})
    for _ in range(5):
        assert seeded.run(asked.job, full=True)[0].outcome != "ok"
    assert seeded.everything()[asked.table] == before
    seeded.world.faults.clear()
    assert seeded.run(asked.job, full=True)[0].outcome == "ok"
    assert seeded.everything()[asked.table] == before


@pytest.mark.parametrize("mode", ["page", "zero", "absent", "off_by_one"])
@pytest.mark.parametrize("call", ["directory", "user-list", "voicemail"])
def test_a_refused_page_is_no_end_even_where_count_lies(seeded: Office, call: str, mode: str) -> None:
    asked = CALLS[call]
    key = "telecmi.voicemail_count_mode" if call == "voicemail" else "telecmi.count_mode"
    before = seeded.everything()[asked.table]
    seeded.world.settings.change({key: mode})
    seeded.fault(asked.path, "code", code=400, times=None, match={"page": 7})
    try:
        outcomes = [seeded.run(asked.job, full=True)[0].outcome for _ in range(4)]
        assert "ok" not in outcomes
        assert seeded.everything()[asked.table] == before
    finally:
        seeded.world.settings.change({key: "exact"})
        seeded.world.faults.clear()
    assert seeded.run(asked.job, full=True)[0].outcome == "ok"
    assert seeded.everything()[asked.table] == before


def test_a_listing_that_lacks_rows_which_are_there_when_asked_for_is_not_ok(seeded: Office) -> None:
    """Smartflo sends no total: three rows cut off at the end look like three deletions, until they are asked for."""
    seeded.world.settings.change({"smartflo.page_cap": 13})
    try:
        before = seeded.everything()["smartflo_contacts"]
        seeded.fault("/v1/contacts", "zero_rows", times=None, match={"page": 4})
        for _ in range(3):
            run = seeded.run("smartflo-contacts", full=True)[0]
            assert run.outcome == "incomplete" and "asked for by" in run.problem
        assert seeded.everything()["smartflo_contacts"] == before
    finally:
        seeded.world.settings.change({"smartflo.page_cap": 6})
        seeded.world.faults.clear()
    assert seeded.run("smartflo-contacts", full=True)[0].outcome == "ok"
    assert seeded.one("SELECT count(*) FROM absences") == 0


def test_the_answer_to_a_first_listing_may_be_bad_too(make_office: MakeOffice) -> None:
    office = make_office()
    office.world.seed(contacts=5, voicemails=2, smartflo=3, user_contacts=2)
    office.fault("*", "html200", times=None)
    assert "ok" not in [run.outcome for run in office.run() if run.job != "telecmi-push"]
    assert office.one("SELECT count(*) FROM contacts") == 0
    office.world.faults.clear()
    runs = office.run()
    assert jobs.exit_code(runs) == 0, [(run.outcome, run.problem) for run in runs]
    assert office.one("SELECT count(*) FROM telecmi_contacts WHERE contact_id IS NOT NULL") == 5


def test_refused_credentials_are_never_no_records(make_office: MakeOffice) -> None:
    office = make_office()
    office.world.seed(contacts=5, voicemails=2, smartflo=3, user_contacts=2)
    assert jobs.exit_code(office.run()) == 0
    office.fault("*", "bad_token", times=None)
    with office.unchanged():
        for _ in range(2):
            runs = office.run(full=True)
            assert jobs.exit_code(runs) == 77
            assert all(run.outcome == "failed" for run in runs if run.job != "telecmi-push")
