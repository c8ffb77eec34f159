"""`verify` and `sync --dry-run`: they read upstream, and write to neither side."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from syncer.config.load import settings_from
from syncer.sandbox import World, running
from syncer.sync import jobs, registry
from syncer.sync.verify import VerifyResult, verify
from tests.office import LOGIN, unpaced


def settings_for(url: str, folder: Path, **account: Any) -> Any:
    raw = {
        "database": {"url": "sqlite:///mirror.db"},
        "telecmi": {"main": {"base_url": url, **LOGIN, **account}},
    }
    return unpaced(settings_from(raw, folder, {}))


@pytest.fixture
def installed(tmp_path: Path) -> Any:
    """A mirror of a small world over real HTTP: (settings, world, verify)."""
    world = World()
    world.seed(contacts=30, voicemails=12, smartflo=0, user_contacts=9, seed=3)
    with running(world) as url:
        settings = settings_for(url, tmp_path)
        chosen = [s for s in registry.specs(settings) if s.enabled]
        asyncio.run(jobs.sync(settings, chosen))

        def check() -> dict[str, VerifyResult]:
            return {one.job: one for one in asyncio.run(verify(settings, chosen))}

        yield settings, world, check


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as conn:
        return list(conn.iterdump())


def edit(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute(statement)


def test_verify_says_nothing_differs_and_writes_nothing(installed: Any) -> None:
    settings, world, check = installed
    before, mark = dump(settings.database.path), len(world.requests())
    found = check()
    assert all(one.outcome == "ok" and not one.differences for one in found.values())
    assert found["telecmi-contacts"].rows == 30
    assert "telecmi-push" not in found
    assert dump(settings.database.path) == before
    assert not [r for r in world.requests()[mark:] if r.path.endswith(("/add", "/update", "/delete"))]


def test_verify_names_each_row_that_differs(installed: Any) -> None:
    settings, world, check = installed
    ids = sorted(world.snapshot()["telecmi"]["1111113"]["contacts"], key=lambda c: c["contact_id"])
    changed, gone = ids[0]["contact_id"], ids[1]["contact_id"]
    world.contact_update(changed, {"company": "Elsewhere Traders"})
    world.contact_delete(gone)
    world.contact_insert({"phone_no": "919200099991", "first_name": "New", "last_name": "Person"})
    rows = dict(
        sqlite3.connect(settings.database.path).execute("SELECT contact_id, id FROM telecmi_contacts")
    )
    entries = check()["telecmi-contacts"].differences
    told = {(e.kind, e.row_id, e.field, e.new) for e in entries}
    assert ("update", rows[changed], "company", "Elsewhere Traders") in told
    assert ("delete", rows[gone], None, None) in told
    assert sum(1 for e in entries if e.kind == "insert") == 1
    assert len(entries) == 3


def test_verify_tells_waiting_edits_apart(installed: Any) -> None:
    settings, _, check = installed
    edit(settings.database.path, "UPDATE telecmi_contacts SET company = 'Here Only' WHERE id = 1")
    found = check()["telecmi-contacts"]
    assert not found.differences
    assert [(one.row_id, one.field, one.old) for one in found.waiting] == [(1, "company", "Here Only")]


def test_verify_of_a_failing_vendor_proves_nothing(installed: Any) -> None:
    _, world, check = installed
    world.faults.add({"match": {"path": "/v3/contact/get"}, "times": None, "kind": "html200"})
    found = check()["telecmi-contacts"]
    assert found.outcome != "ok" and not found.same
    assert not found.differences


def test_dry_run_changes_neither_side(installed: Any) -> None:
    settings, world, _ = installed
    edit(settings.database.path, "UPDATE telecmi_contacts SET company = 'Here Only' WHERE id = 1")
    edit(settings.database.path, "DELETE FROM telecmi_contacts WHERE id = 2")
    world.contact_insert({"phone_no": "919200099991", "first_name": "New", "last_name": "Person"})
    before, upstream = dump(settings.database.path), json.dumps(world.snapshot(), sort_keys=True)
    chosen = [s for s in registry.specs(settings) if s.enabled]
    plans = {plan.job: plan for plan in asyncio.run(jobs.dry_run(settings, chosen))}
    assert dump(settings.database.path) == before
    assert json.dumps(world.snapshot(), sort_keys=True) == upstream
    assert plans["telecmi-contacts"].lines == ["would add 1 row of telecmi_contacts"]
    assert "would update contact row 1" in plans["telecmi-push"].lines[0]


def test_calls_that_upstream_lists_no_more_are_kept_and_named(tmp_path: Path) -> None:
    world, now = World(), int(time.time() * 1000)
    world.calls_seed(telecmi=20, days=2)
    call = world.call_insert("missed", "+919200000777", time=now - 60 * 3600_000)
    with running(world) as url:
        settings = settings_for(url, tmp_path, calls={"enabled": True, "since": "3d"})
        chosen = [spec for spec in registry.specs(settings) if spec.job == "telecmi-calls"]

        def check() -> VerifyResult:
            (found,) = asyncio.run(verify(settings, chosen))
            return found

        asyncio.run(jobs.sync(settings, chosen))
        assert (check().same, check().unlisted) == (True, [])
        world.calls_expire(now - 55 * 3600_000)
        found = check()
        assert (found.same, found.unlisted, found.differences) == (True, [call], [])
