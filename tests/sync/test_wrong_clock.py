"""A clock that was ahead for a while and is right again: no stored time holds anything up.

Each row of the table is one stored time: what leaves it behind while the clock is ahead, and what has to be
so at once when it is right again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from syncer.core.due import lies_ahead
from syncer.core.normalise import utc_text
from syncer.remote.tokens import TokenStore
from syncer.store.read import coverage
from syncer.store.write import queue
from syncer.sync import proof, registry
from tests.grid import sample
from tests.office import VirtualClock, World
from tests.sync.push_bench import READ, UPDATE, Bench

#: A wrong date, a hardware clock in local time, a wrong year.
AHEAD = (timedelta(days=60), timedelta(hours=5, minutes=30), timedelta(days=3650))


class Site(Bench):
    """A bench whose vendors have a clock of their own, which is right."""

    def __init__(self, folder: Path) -> None:
        self.right = VirtualClock()  #: the vendors', which is right
        super().__init__(
            folder,
            only=registry.job_names(),
            world=World(clock=lambda: self.right.now().timestamp()),
            telecmi={"voicemails": {"since": "9d"}, "push": {"deletes": True}},
            smartflo={"email": "ops@example.com", "password": "sandbox-password"},
        )
        accounts = [
            replace(one, token=None) if one.kind == "smartflo" else one for one in self.settings.accounts
        ]
        self.settings = replace(self.settings, accounts=tuple(accounts))
        for n in range(1, 4):
            self.world.smartflo_upsert(n, {"phone_number": f"+91940000000{n}", "name": f"Meera Example {n}"})
        self.run()

    def pass_(self, **span: float) -> None:
        self.clock.pass_(**span)
        self.right.pass_(**span)

    def set_clock(self, ahead: timedelta) -> None:
        self.clock.at = self.right.at + ahead

    def daemon(self, job: str) -> Any:
        """One run as the daemon makes it, which does not try what waits."""
        return self.run(job, person=False)[0]

    def notes(self, job: str) -> str:
        """What was noted of the vendor."""
        return str(self.one("SELECT notes FROM sync_jobs WHERE job = ?", job))


@dataclass(frozen=True)
class Stored:
    """One stored time that decides when something is done."""

    name: str
    leave: Callable[[Site], None]  #: with the clock ahead
    due: Callable[[Site], None]  #: with the right clock, at once


# -- change_queue.next_attempt_at: an edit that was turned away


def _turned_away(site: Site) -> None:
    site.edit(1, company="New Firm")
    site.fault(UPDATE, "http", status=429)
    site.daemon("telecmi-push")
    assert site.states() == ["queued"]


def _lost(site: Site) -> None:
    site.edit(1, company="New Firm")
    site.fault(UPDATE, "http", status=503)
    site.daemon("telecmi-push")
    assert site.states() == ["unknown"]


def _pushed(site: Site) -> None:
    assert site.read(queue.next_due, "main", site.clock.now()) == (1, None), "the daemon starts a push for it"
    site.daemon("telecmi-push")
    assert site.states() == ["done"]


# -- push_intents.sent_at: an accepted delete that the directory goes on showing


def _delete_ignored(site: Site) -> None:
    site.fault("/v3/contact/delete", "code", code=200, message="ok")
    site.delete(1)
    site.daemon("telecmi-push")
    assert site.states() == ["unknown"] and len(site.directory()) == 6


def _deleted(site: Site) -> None:
    for _ in range(2):
        site.daemon("telecmi-push")
        site.pass_(minutes=1)
    assert site.states() == ["done"] and len(site.directory()) == 5


# -- change_queue.settled_at: values that flip are counted within a day


def _flipping(site: Site) -> None:
    for _ in range(3):
        site.edit(1, company="New Firm")
        site.daemon("telecmi-push")
        site.world.contact_update(site.ids[0], {"company": "Example Traders"})
        site.daemon("telecmi-contacts")
    assert site.states() == ["done"] * 3


def _not_frozen(site: Site) -> None:
    site.edit(1, company="New Firm")
    site.daemon("telecmi-push")
    assert site.states() == ["done"] * 4


# -- sync_jobs.last_full_at: Smartflo's full listings


def _full_listing(site: Site) -> None:
    site.pass_(days=1, minutes=1)
    site.set_clock(site.clock.at - site.right.at)
    assert site.daemon("smartflo-contacts").outcome == "ok"
    site.world.smartflo_delete(1, hard=True)


def _found_gone(site: Site) -> None:
    for _ in range(2):
        assert site.daemon("smartflo-contacts").outcome == "ok"
        site.pass_(days=1, minutes=1)
    assert site.one("SELECT count(*) FROM smartflo_contacts WHERE deleted_at IS NULL") == 2


# -- the token file: a refused login, and a token's end


def _login_refused(site: Site) -> None:
    site.tokens = TokenStore(None)
    site.fault("/v1/auth/login", "http", status=401, message="Invalid credentials")
    assert site.daemon("smartflo-contacts").outcome == "failed"
    mark = site.mark()
    assert "no login before" in site.daemon("smartflo-contacts").problem and site.calls(mark) == []


def _login_tried(site: Site) -> None:
    assert site.daemon("smartflo-contacts").outcome == "ok"


def _token_kept(site: Site) -> None:
    site.tokens = TokenStore(None)
    assert site.daemon("smartflo-contacts").outcome == "ok"


def _token_renewed(site: Site) -> None:
    site.pass_(hours=2)
    assert site.daemon("smartflo-contacts").outcome == "ok"


# -- notes: a vendor that failed when asked for one contact


def _by_id_doubted(site: Site) -> None:
    site.fault(READ, "http", status=500, times=None, match={"contains": "contact_id"})
    site.edit(1, company="New Firm")
    site.daemon("telecmi-push")
    site.world.faults.clear()
    assert "by_id_failed_at" in site.notes("telecmi-push")


def _asked_by_id(site: Site) -> None:
    site.edit(2, company="New Firm")
    site.daemon("telecmi-push")
    assert "by_id_failed_at" not in site.notes("telecmi-push")


# -- notes: an empty list of voicemails is doubted for a day


def _emptied(site: Site) -> None:
    ahead, times = site.clock.at - site.right.at, range(4)
    for _ in times:
        site.world.voicemail_insert(round(site.right.at.timestamp() * 1000), 919_200_000_001)
    site.set_clock(timedelta(0))
    assert site.daemon("telecmi-voicemails").added == len(times)
    site.world.org().voicemails.clear()
    site.daemon("telecmi-voicemails")
    since = site.one("SELECT notes ->> '$.empty_since' FROM sync_jobs WHERE job = 'telecmi-voicemails'")
    assert since
    noted = utc_text(
        datetime.fromisoformat(since) + ahead
    )  # far ahead, no window shows what is missing: only a lesser one can
    with site.db.write() as conn:
        statement = "UPDATE sync_jobs SET notes = json_set(notes, '$.empty_since', ?) WHERE job = ?"
        conn.exec_driver_sql(statement, (noted, "telecmi-voicemails"))


def _believed(site: Site) -> None:
    assert site.daemon("telecmi-voicemails").outcome == "ok"


# -- windows: what was read "until" a time that has not come yet


def _windows_read(site: Site) -> None:
    assert site.daemon("telecmi-voicemails").outcome == "ok"


def _windows_noted(site: Site) -> None:
    """As noted where a vendor sends no date with its answers."""
    ahead = (site.clock.at - site.right.at) // timedelta(milliseconds=1)
    _windows_read(site)
    with site.db.write() as conn:
        newest = "(SELECT max(start_ms) FROM windows)"
        conn.exec_driver_sql(
            f"UPDATE windows SET verified_ms = verified_ms + ?, end_ms = end_ms + ? WHERE start_ms = {newest}",
            (ahead, ahead),
        )


def _covered_again(site: Site) -> None:
    _says_nothing_of_the_future(site)
    assert site.daemon("telecmi-voicemails").outcome == "ok"
    _no_false_coverage(site)


def _says_nothing_of_the_future(site: Site) -> None:
    now = site.clock.now()
    known = site.read(coverage.load, proof.wanted(registry.specs(site.settings), now))
    covered = known["telecmi-voicemails", "main"]
    assert covered.covered_to is None or not lies_ahead(covered.covered_to, now)
    assert all(not lies_ahead(end, now) for _, end in covered.gaps)


def _no_false_coverage(site: Site) -> None:
    _says_nothing_of_the_future(site)
    site.pass_(hours=3)  # the daemon is off for days, and somebody leaves a voicemail meanwhile
    left = site.world.voicemail_insert(round(site.right.at.timestamp() * 1000), 919_200_000_001)
    site.pass_(days=3)
    assert site.daemon("telecmi-voicemails").outcome == "ok"
    assert site.one("SELECT count(*) FROM telecmi_voicemails WHERE voicename = ?", left) == 1
    known = site.read(coverage.load, proof.wanted(registry.specs(site.settings), site.clock.now()))
    assert known["telecmi-voicemails", "main"].gaps == []


# -- sync_jobs.last_complete_at: whether the directory was read whole before the user's list


def _directory_read(site: Site) -> None:
    assert site.daemon("telecmi-contacts").outcome == "ok"


def _list_brought_in_line(site: Site) -> None:
    site.world.user_contact_upsert("9300000001", {"name": "Ravi Example"})
    assert site.daemon("telecmi-user-contacts").outcome == "ok"
    assert site.one("SELECT count(*) FROM telecmi_contacts WHERE last_name = 'Example'") == 1


STORED = (
    Stored("an edit that was turned away", _turned_away, _pushed),
    Stored("an edit whose answer was lost", _lost, _pushed),
    Stored("a delete that upstream ignored", _delete_ignored, _deleted),
    Stored("values that were pushed within a day", _flipping, _not_frozen),
    Stored("the last full listing", _full_listing, _found_gone),
    Stored("a refused login", _login_refused, _login_tried),
    Stored("a token's end", _token_kept, _token_renewed),
    Stored("a vendor that failed by id", _by_id_doubted, _asked_by_id),
    Stored("an empty list that is doubted", _emptied, _believed),
    Stored("voicemail windows", _windows_read, _no_false_coverage),
    Stored("voicemail windows by our clock", _windows_noted, _covered_again),
    Stored("the last complete directory", _directory_read, _list_brought_in_line),
)


@pytest.mark.parametrize(
    "stored, ahead", sample(3, STORED, AHEAD), ids=lambda one: getattr(one, "name", str(one))
)
def test_a_clock_that_was_ahead_holds_nothing_up(tmp_path: Path, stored: Stored, ahead: timedelta) -> None:
    site = Site(tmp_path)
    try:
        site.set_clock(ahead)
        stored.leave(site)
        site.right.pass_(minutes=10)
        site.set_clock(timedelta(0))
        stored.due(site)
    finally:
        site.close()
