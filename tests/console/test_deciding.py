"""Changes, conflicts and holds: what is shown, and that a decision is about just that."""

from __future__ import annotations

import json
import re

import httpx
import pytest

from syncer.core.console import Role
from tests.console.conftest import Desk, MakeDesk, text_of

pytestmark = pytest.mark.anyio


def conflict(
    desk: Desk, row: int, base: str = "Acme", local: str = "Acme Mills", remote: str = "Acme Foods"
) -> int:
    """Both sides changed the company of a contact."""
    desk.sql("UPDATE telecmi_contacts SET company = ? WHERE id = ?", local, row)
    clashes = json.dumps({"company": {"base": base, "local": local, "remote": remote}})
    (number,) = desk.sql("SELECT max(id) FROM change_queue")[0]
    desk.program(
        f"UPDATE change_queue SET state = 'conflict', clashes = '{clashes}', fields = '{json.dumps({'company': local})}' "
        f"WHERE id = {number}"
    )
    return int(number)


def version_of(answer: httpx.Response) -> str:
    found = re.search(r'name="version" value="([0-9a-f-]+)"', answer.text)
    assert found is not None, answer.text
    return found[1]


@pytest.mark.parametrize("keep, company", [("local", "Acme Mills"), ("remote", "Acme Foods")])
async def test_a_conflict_is_settled_by_what_was_shown(make_desk: MakeDesk, keep: str, company: str) -> None:
    async with make_desk() as desk:
        row = desk.contact()
        number = conflict(desk, row)
        client = await desk.log_in(Role.APPROVE, "Meera Example")
        assert "conflict" in text_of(await client.get("/queue"))
        shown = await client.get(f"/queue/{number}")
        assert "Acme<mark> Mills</mark>" in shown.text and "Acme<mark> Foods</mark>" in shown.text
        done = await client.post(
            f"/queue/{number}/resolve", data={"keep": keep, "version": version_of(shown)}
        )
        assert done.headers["location"] == f"/queue/{number}?said=resolved"
        assert desk.sql("SELECT company FROM telecmi_contacts") == [(company,)]
        assert desk.sql("SELECT state, decided_by FROM change_queue WHERE id = ?", number) == [
            ("queued" if keep == "local" else "discarded", "Meera Example")
        ]
        assert "decided by Meera Example" in text_of(await client.get(f"/queue/{number}"))
        again = await client.post(
            f"/queue/{number}/resolve", data={"keep": keep, "version": version_of(shown)}
        )
        assert again.status_code == 409


async def test_what_changed_since_it_was_shown_is_not_decided(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        row = desk.contact()
        number = conflict(desk, row)
        client = await desk.log_in()
        version = version_of(await client.get(f"/queue/{number}"))
        for wrong in ({}, {"keep": "local"}, {"version": version}, {"keep": "both", "version": version}):
            assert (await client.post(f"/queue/{number}/resolve", data=wrong)).status_code == 422
        desk.program("UPDATE change_queue SET clashes = replace(clashes, 'Acme Foods', 'Acme Labs')")
        answer = await client.post(f"/queue/{number}/resolve", data={"keep": "remote", "version": version})
        assert answer.status_code == 409 and "look again" in text_of(answer)
        assert "Acme<mark> Labs</mark>" in answer.text and version_of(answer) != version, "a fresh view"
        assert desk.sql("SELECT company FROM telecmi_contacts") == [("Acme Mills",)]
        assert desk.sql("SELECT state, decided_by FROM change_queue") == [("conflict", None)]
        desk.sql("UPDATE telecmi_contacts SET company = 'Acme Works' WHERE id = ?", row)
        version = version_of(answer)
        assert (
            await client.post(f"/queue/{number}/resolve", data={"keep": "local", "version": version})
        ).status_code == 409
        version = version_of(await client.get(f"/queue/{number}"))
        desk.program(f"UPDATE contact_base SET job_title = 'Clerk' WHERE row_id = {row}")
        answer = await client.post(f"/queue/{number}/resolve", data={"keep": "local", "version": version})
        assert answer.status_code == 409 and "Clerk" in answer.text


async def test_what_each_role_may_decide(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        row = desk.contact()
        number = conflict(desk, row)
        desk.contact(2)
        desk.sql("DELETE FROM telecmi_contacts WHERE id = 2")
        (held,) = desk.sql("SELECT id FROM change_queue WHERE state = 'held'")[0]
        desk.program(
            "INSERT INTO held (job, account, reason, rows, created_at) VALUES ('telecmi-contacts', 'main', 'r', 1, '')"
        )
        paths = {
            f"/queue/{number}/resolve": Role.APPROVE,
            f"/queue/{held}/approve": Role.APPROVE,
            "/held/1/approve": Role.APPROVE,
            "/held/1/reject": Role.APPROVE,
            f"/queue/{number}/retry": Role.EDIT,
            f"/queue/{number}/discard": Role.EDIT,
            f"/contacts/{row}": Role.EDIT,
            f"/contacts/{row}/delete": Role.EDIT,
            "/contacts/new": Role.EDIT,
        }
        for role in (Role.LOOK, Role.EDIT):
            client = await desk.log_in(role)
            for path, needed in paths.items():
                if not role.includes(needed):
                    assert (await client.post(path)).status_code == 403, (role, path)
            for page in (f"/queue/{number}", f"/queue/{held}", "/held/1"):
                text = (await client.get(page)).text
                assert "/resolve" not in text and "/approve" not in text
                assert "takes the role “approve”" in text
        assert desk.sql("SELECT count(*) FROM change_queue WHERE decided_by IS NOT NULL") == [(0,)]
        for path in (f"/contacts/{row}/edit", "/contacts/new"):
            assert (await (await desk.log_in(Role.LOOK)).get(path)).status_code == 403


async def test_rejected_changes_are_tried_again_and_given_up(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        row = desk.contact()
        desk.sql("UPDATE telecmi_contacts SET company = 'Other' WHERE id = ?", row)
        desk.program(
            "UPDATE change_queue SET state = 'rejected', last_error = 'last_name: <too> long', sent_at = created_at"
        )
        client = await desk.log_in(Role.EDIT, "Meera Example")
        page = text_of(await client.get("/queue"))
        assert "Upstream refused it: last_name: <too> long" in page
        assert (await client.post("/queue/1/retry")).headers["location"] == "/queue/1?said=retried"
        assert desk.sql("SELECT state, decided_by FROM change_queue") == [("queued", "Meera Example")]
        assert (await client.post("/queue/1/discard")).status_code == 303
        assert desk.sql("SELECT company FROM telecmi_contacts") == [("Acme",)]
        refused = await client.post("/queue/1/discard")
        assert refused.status_code == 409 and "is discarded already" in text_of(refused)
        for path in ("/queue/99/retry", "/queue/x/retry", "/held/99/approve"):
            assert (await (await desk.log_in()).post(path)).status_code == 404
        assert "upstream has every change" in text_of(await client.get("/queue"))


async def test_a_held_delete_goes_when_somebody_says_so(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        row = desk.contact()
        desk.sql("DELETE FROM telecmi_contacts WHERE id = ?", row)
        client = await desk.log_in(Role.APPROVE, "Meera Example")
        assert "A delete waits for a person" in text_of(await client.get("/queue/1"))
        assert (await client.post("/queue/1/approve")).headers["location"] == "/queue/1?said=approved"
        assert desk.sql("SELECT state, approved, decided_by FROM change_queue") == [
            ("queued", 1, "Meera Example")
        ]


async def test_a_hold_is_decided_once_by_name(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        row = desk.contact()
        desk.program(
            "INSERT INTO held (job, account, reason, rows, created_at) VALUES ('telecmi-contacts', 'main', '1 of 1 <rows>', 1, "
            f"'{desk.at(hours=1)}')",
            f"INSERT INTO held_rows (held_id, table_name, row_id, field) VALUES (1, 'telecmi_contacts', {row}, ''), "
            f"(1, 'telecmi_contacts', {row}, 'company')",
        )
        client = await desk.log_in(Role.APPROVE, "Meera Example")
        assert "1 row of telecmi-contacts" in text_of(await client.get("/held"))
        page = text_of(await client.get("/held/1"))
        assert "1 of 1 <rows>" in page and "would be removed" in page and "company would turn blank" in page
        shown = {"version": version_of(await client.get("/held/1"))}
        desk.program("UPDATE held_rows SET field = 'job_title' WHERE field <> ''")
        stale = await client.post("/held/1/approve", data=shown)
        assert stale.status_code == 409 and "look again" in text_of(stale), "as many rows, but others"
        assert (await client.post("/held/1/reject", data={"version": version_of(stale)})).headers[
            "location"
        ] == "/held/1?said=rejected"
        assert desk.sql("SELECT decision, decided_by FROM held") == [("rejected", "Meera Example")]
        again = await client.post("/held/1/approve")
        assert again.status_code == 409 and "rejected already" in text_of(again)
        assert "rejected by Meera Example" in text_of(await client.get("/held"))


async def test_health_shows_jobs_runs_and_what_they_prove(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        listing = json.dumps({"verdict": "complete", "whole": True})
        for n, outcome in enumerate(("ok", "failed", "incomplete", "ok")):
            desk.program(
                "INSERT INTO sync_runs (job, account, started_at, finished_at, outcome, error, listing) VALUES ("
                f"'telecmi-contacts', 'main', '{desk.at(hours=9 - n)}', '{desk.at(hours=9 - n)}', '{outcome}', "
                f"{'NULL' if outcome == 'ok' else chr(39) + '<b>broken</b>' + chr(39)}, '{listing}')"
            )
        client = await desk.log_in(Role.LOOK)
        answer = await client.get("/health")
        page = text_of(answer)
        assert "The last 4 runs: 2 ok, 1 incomplete, 1 failed" in page
        assert "complete: what it does not show is gone upstream" in page
        assert "never succeeded yet" in page and "<b>broken" not in answer.text
