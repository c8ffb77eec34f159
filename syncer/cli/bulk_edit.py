"""`syncer contacts edit` of several contacts: a plan first, then with --apply. `contacts.py` edits a single one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from syncer.cli.editing import full_name, pick
from syncer.cli.output import count, say
from syncer.core.normalise import same
from syncer.errors import UsageError

if TYPE_CHECKING:
    from syncer.cli.app import App
    from syncer.config import Settings, TelecmiAccount
    from syncer.core.import_plan import PlannedRow
    from syncer.store.db.read_only import Reader

#: The most contacts that are written in one transaction.
TRANSACTION = 100


def several(
    conn: Reader, who: Sequence[str], search: str | None, accounts: Mapping[str, TelecmiAccount]
) -> list[dict[str, Any]]:
    """The contacts to edit, each once. UsageError if one is unknown, ambiguous or deleted."""
    from syncer.store.read import contact_queries
    from syncer.sync.editing import refuse_deleted

    if bool(who) == (search is not None):
        raise click.UsageError("name the contacts to edit, or find them with --search")
    if search is not None:
        if not search.strip():
            raise click.UsageError("--search is empty, and that is in every contact; nothing was changed")
        found: Iterable[dict[str, Any]] = contact_queries.list_telecmi(conn, list(accounts), search=search)
        if not found:
            raise UsageError("no contact in the mirror matches; nothing was changed")
    else:
        found = [pick(conn, one, accounts) for one in who]
    rows = {row["id"]: row for row in found}
    for row in rows.values():
        refuse_deleted(conn, row)
    return list(rows.values())


def edit_several(
    app: App,
    settings: Settings,
    rows: Sequence[Mapping[str, Any]],
    wanted: Mapping[str, str],
    *,
    applying: bool,
) -> None:
    """Show what would change, or write it as one batch that `contacts undo` takes back."""
    if "phone_no" in wanted:
        raise click.UsageError("--phone is for one contact: no two have the same number; nothing was changed")
    plan = [(row, _changes(row, wanted)) for row in rows]
    for row, changed in plan:
        values = ", ".join(f"{name} {row[name] or ''!r} -> {value!r}" for name, value in changed.items())
        say(f"contact {row['id']:<6} {full_name(row)}: {values or 'has these values already'}")
    number = sum(bool(changed) for _, changed in plan)
    say()
    if not number:
        say(f"{count(len(plan), 'contact')}: there is nothing to change.")
    elif applying:
        batch, changed_ones = _write(app, settings, [row["id"] for row, changed in plan if changed], wanted)
        say(
            f"Batch {batch}: {count(changed_ones, 'contact')} changed; the push sends that upstream. "
            f"`syncer contacts undo {batch}` takes it back."
        )
    else:
        say(
            f"{number:,} of {count(len(plan), 'contact')} would change. Nothing was changed: run it again with --apply."
        )


def _changes(row: Mapping[str, Any], wanted: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in wanted.items() if not same(row[name], value)}


def _write(
    app: App, settings: Settings, ids: Iterable[int], wanted: Mapping[str, str]
) -> tuple[int | None, int]:
    """Write the edits, except to contacts deleted meanwhile. Returns the batch and how many contacts changed."""
    from syncer.core.import_plan import PlannedRow, Verdict
    from syncer.store.db.read_only import chunks
    from syncer.store.read import contact_queries
    from syncer.store.write import imports

    batch = imports.Batch("contacts edit", "edit", "cli", app.stamp())
    with app.writing(settings) as db:
        for some in chunks(ids, TRANSACTION):
            with db.edit() as conn:
                plan: list[tuple[str, PlannedRow]] = []
                for row_id in some:
                    row = contact_queries.load_contact(conn, row_id)
                    changed = _changes(row, wanted) if row and row["deleted_at"] is None else {}
                    if row and changed:
                        plan.append((row["account"], PlannedRow(0, Verdict.UPDATE, changed, contact=row_id)))
                imports.apply(conn, batch, plan)
        if batch.id is not None:
            with db.write() as conn:
                imports.finish(conn, batch, app.stamp())
    return batch.id, batch.updated
