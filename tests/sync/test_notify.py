"""The `notify` job: in order, at least once, and no target in the way of anything else."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

from syncer.sync import jobs, registry
from tests.office import Office, VirtualClock
from tests.receiver import Receiver, receiving


class Told(Office):
    """An office whose config names targets."""

    def __init__(self, folder: Path, targets: dict[str, Any], **more: Any) -> None:
        super().__init__(folder, notify=targets, **more)

    def arrives(self, number: int = 1) -> None:
        """So many voicemails come in, and are pulled."""
        for _ in range(number):
            self.world.voicemail_insert(None, 919200000001)
            self.clock.pass_(seconds=1)
        self.run("telecmi-voicemails")

    def outbox(self) -> list[tuple[Any, ...]]:
        return self.sql("SELECT target, state, attempts FROM outbox ORDER BY id")


def test_in_order_with_names_and_an_id_that_stays(tmp_path: Path, desk: Receiver) -> None:
    office = Told(tmp_path, {"desk": {"webhook": desk.url, "on": ["voicemail"]}})
    desk.answers = [500]
    office.arrives(2)
    assert office.run("notify", person=False)[0].outcome == "incomplete"
    assert office.run("notify", person=False)[0].problem.startswith(
        "notify.desk: it answered HTTP 500; tried again at "
    )
    assert len(desk.got) == 1  # it waits, and so does the next: the order is kept
    office.clock.pass_(seconds=5)
    assert office.run("notify", person=False)[0].outcome == "ok"
    assert [state for _, state, _ in office.outbox()] == ["sent", "sent"]
    first, again, second = desk.got
    assert first.headers["webhook-id"] == again.headers["webhook-id"] != second.headers["webhook-id"]
    assert first.content == again.content
    assert [one.json["type"] for one in desk.got] == ["voicemail"] * 3
    assert set(first.json["data"]) >= {"table", "id", "account", "phone", "at"}
    assert office.run("notify")[0].seen == 0


def test_a_person_s_sync_tries_at_once_and_ends_with_1(tmp_path: Path, desk: Receiver) -> None:
    office = Told(tmp_path, {"desk": {"webhook": desk.url, "on": ["voicemail"]}})
    desk.otherwise = 503
    office.arrives()
    assert [jobs.exit_code(office.run("notify")) for _ in range(3)] == [1, 1, 1]
    assert len(desk.got) == 3
    desk.otherwise = 200
    assert jobs.exit_code(office.run("notify")) == 0


def test_after_a_day_it_is_given_up_and_the_next_goes_out(tmp_path: Path, desk: Receiver) -> None:
    office = Told(tmp_path, {"desk": {"webhook": desk.url, "on": ["voicemail"]}})
    office.arrives(2)
    desk.otherwise = 500
    while office.outbox()[0][1] == "queued":
        office.run("notify", person=False)
        office.clock.pass_(minutes=30)
    assert office.outbox()[0] == ("desk", "dead", 27)  # the day counts from the first try
    desk.otherwise = 200
    [run] = office.run("notify")
    assert run.outcome == "ok"
    assert [state for _, state, _ in office.outbox()] == ["dead", "sent"]


def test_a_dead_target_is_in_nobody_s_way(tmp_path: Path, desk: Receiver) -> None:
    with receiving() as gone:
        pass
    office = Told(tmp_path, {"dead": {"webhook": gone.url}, "desk": {"webhook": desk.url}})
    office.world.voicemail_insert(None, 919200000001)
    runs = {f"{run.job}.{run.account}": run.outcome for run in office.run()}
    assert runs.pop("notify.dead") == "incomplete"
    assert set(runs.values()) == {"ok"}
    assert list(runs)[-1] == "notify.desk"  # after everything else
    assert len(desk.got) == 1


def test_a_private_target_is_sent_no_person(tmp_path: Path, desk: Receiver) -> None:
    office = Told(tmp_path, {"desk": {"webhook": desk.url, "private": True}})
    office.arrives()
    office.run("notify")
    assert desk.got[0].json["data"] == {"table": "telecmi_voicemails", "id": 1}


def test_what_is_gone_meanwhile_is_not_sent(tmp_path: Path, desk: Receiver) -> None:
    office = Told(tmp_path, {"desk": {"webhook": desk.url}})
    office.arrives()
    office.own("DELETE FROM telecmi_voicemails")
    assert office.run("notify")[0].outcome == "ok"
    assert (office.outbox(), desk.got) == ([], [])


def test_nothing_is_sent_from_a_copy_elsewhere(tmp_path: Path, desk: Receiver) -> None:
    office = Told(tmp_path, {"desk": {"webhook": desk.url}})
    office.arrives()
    office.own("UPDATE home SET path = '/srv/elsewhere.db'")
    [run] = office.run("notify")
    assert "it is a copy here and nothing is sent" in run.problem
    assert desk.got == []


def test_history_is_not_sent(tmp_path: Path, desk: Receiver) -> None:
    clock = VirtualClock()
    office = Told(tmp_path, {"desk": {"webhook": desk.url, "max_age": "2h"}}, clock=clock)
    long_ago = clock.now() - timedelta(hours=3)
    office.world.voicemail_insert(int(long_ago.timestamp() * 1000), 919200000001)
    office.arrives()
    office.run("notify")
    assert office.one("SELECT count(*) FROM telecmi_voicemails") == 2
    assert len(desk.got) == 1


def test_a_dry_run_sends_nothing(tmp_path: Path, desk: Receiver) -> None:
    office = Told(tmp_path, {"desk": {"webhook": desk.url}})
    office.arrives()
    chosen = registry.select(registry.specs(office.settings), ["notify"], None)
    [planned] = asyncio.run(jobs.dry_run(office.settings, chosen, clock=office.clock))
    assert planned.lines == ["would send 1 notification to notify.desk"]
    assert desk.got == []
