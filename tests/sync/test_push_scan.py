"""Lost triggers, restored files, edits by other means: the scan loses nothing."""

from __future__ import annotations

import pytest

from tests.sync.conftest import MakeBench
from tests.sync.push_bench import Bench, newcomer


def without_triggers(bench: Bench, *statements: str) -> None:
    bench.drop_triggers()
    for statement in statements:
        bench.sql(statement)


@pytest.mark.parametrize("restart", [True, False])
def test_an_edit_without_triggers_is_found_and_pushed(bench: Bench, restart: bool) -> None:
    without_triggers(bench, "UPDATE telecmi_contacts SET company = 'By Hand' WHERE id IN (1, 2)")
    assert bench.states() == []
    if restart:
        bench.restart()
    mark = bench.mark()
    bench.run()
    assert [bench.directory()[i]["company"] for i in bench.ids[:2]] == ["By Hand"] * 2
    assert len(bench.writes(mark)) == 1
    assert bench.states() == ["done", "done"]
    assert "By Hand" in bench.logged(1), "the log tells what the trigger did not"
    bench.quiet()


def test_an_insert_without_triggers_is_found_and_added(bench: Bench) -> None:
    one = newcomer(1)
    without_triggers(
        bench,
        "INSERT INTO telecmi_contacts (phone_no, first_name, last_name) "
        f"VALUES ('{one['phone_no']}', '{one['first_name']}', '{one['last_name']}')",
    )
    bench.restart()
    mark = bench.mark()
    bench.run()
    assert bench.writes(mark) == [("add", {"contacts": [one]})]
    row = bench.one("SELECT id FROM telecmi_contacts WHERE phone_no = '919300000001'")
    assert bench.row(row)["account"] == "main" and bench.row(row)["contact_id"] in bench.directory()
    bench.quiet()


def test_a_delete_without_triggers_comes_back_as_a_held_delete(bench: Bench) -> None:
    without_triggers(bench, "DELETE FROM telecmi_contacts WHERE id = 1")
    bench.restart()
    mark = bench.mark()
    bench.run()
    bench.run()
    assert bench.writes(mark) == []
    assert bench.states() == ["held"]
    assert bench.row(1)["deleted_at"] and bench.row(1)["contact_id"] == bench.ids[0]
    bench.quiet()
    bench.decide("approve", 1)
    bench.push()
    assert bench.states() == ["done"] and bench.ids[0] not in bench.directory()
    bench.quiet()


def test_a_delete_without_triggers_is_held_whatever_the_config_says(make_bench: MakeBench) -> None:
    bench = make_bench(telecmi={"push": {"deletes": True}})
    without_triggers(bench, "DELETE FROM telecmi_contacts WHERE id = 1")
    bench.restart()
    bench.run()
    assert bench.states() == ["held"]
    bench.decide("discard", 1)
    assert bench.row(1)["deleted_at"] is None
    bench.quiet()


def test_all_at_once_without_triggers(bench: Bench) -> None:
    """Edits, a new row, a deleted row, a tombstone: what people wrote is queued, held or pushed."""
    bench.edit(4, company="With Trigger")
    without_triggers(
        bench,
        "UPDATE telecmi_contacts SET company = 'By Hand', job_title = NULL WHERE id = 1",
        "UPDATE telecmi_contacts SET phone_no = '+91 92000 00092' WHERE id = 2",
        "DELETE FROM telecmi_contacts WHERE id = 3",
        "INSERT INTO telecmi_contacts (phone_no, first_name, last_name) VALUES ('93000 00001', 'Ravi', 'Iyer')",
        "UPDATE telecmi_contacts SET deleted_at = '2026-11-21T09:00:00.000Z' WHERE id = 5",
    )
    bench.restart()
    bench.run()
    bench.run()
    there = bench.directory()
    assert there[bench.ids[0]]["company"] == "By Hand" and not there[bench.ids[0]]["job_title"]
    assert there[bench.ids[1]]["phone_no"] == "919200000092"
    assert there[bench.ids[3]]["company"] == "With Trigger"
    assert bench.ids[2] in there and bench.ids[4] in there
    assert sorted(bench.states()) == ["done", "done", "done", "done", "held", "held"]
    assert "919300000001" in bench.phones()
    bench.quiet()


def test_a_queue_row_without_cause_is_closed(bench: Bench) -> None:
    bench.edit(1, company="Oops")
    without_triggers(bench, "UPDATE telecmi_contacts SET company = 'Example Traders' WHERE id = 1")
    bench.restart()
    mark = bench.mark()
    bench.run()
    assert bench.writes(mark) == [] and bench.states() == ["discarded"]
    bench.quiet()


def test_a_queue_that_was_emptied_by_hand_is_filled_again(bench: Bench) -> None:
    bench.edit(1, company="Wanted")
    row = bench.insert(**newcomer(1))
    without_triggers(bench, "DELETE FROM change_queue")
    bench.restart()
    bench.run()
    assert bench.upstream(1)["company"] == "Wanted"
    assert bench.row(row)["contact_id"] in bench.directory()
    bench.quiet()


def test_a_dirty_row_whose_change_was_settled_too_early_is_queued_again(bench: Bench) -> None:
    bench.edit(1, company="Wanted")
    without_triggers(bench, "UPDATE change_queue SET state = 'done', settled_at = created_at")
    bench.restart()
    bench.run()
    assert bench.upstream(1)["company"] == "Wanted"
    bench.quiet()


def test_the_triggers_are_back_after_a_start(bench: Bench) -> None:
    without_triggers(bench)
    bench.restart()
    bench.edit(1, company="Caught")
    assert bench.states() == ["queued"]
    bench.push()
    bench.quiet("done")


def test_the_scan_of_a_healthy_database_writes_nothing(bench: Bench) -> None:
    bench.edit(1, last_name="")
    bench.push()
    assert bench.states() == ["rejected"]
    bench.delete(2)
    bench.insert(**newcomer(1, last_name=""))
    bench.push()
    with bench.unchanged():
        bench.restart()
        bench.push()
