"""`syncer contacts undo`: undoes an import, or other edits of contacts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from syncer.cli.app import App, pass_app
from syncer.cli.options import WORDS, Integer, example, json_option, since_stamp
from syncer.cli.output import count, emit_json, local, say
from syncer.errors import UsageError

if TYPE_CHECKING:
    from syncer.core.undo import Undo
    from syncer.store.db.read_only import Reader
    from syncer.store.read.undo_queries import Span


@click.command(
    epilog=example(
        "syncer contacts undo 3",
        "syncer contacts undo --since 30m",
        'syncer contacts undo --since "2026-11-29 14:30" --apply',
        "syncer contacts undo --log 1200-1350",
    )
)
@click.argument("batch", type=Integer(), required=False)
@click.option(
    "--since", metavar="TIME", type=WORDS, help="All edits of the last 30m, or since a time (local)."
)
@click.option(
    "--log", "entries", metavar="A-B", type=WORDS, help="All edits in these entries of `syncer log`."
)
@click.option("--dry-run", is_flag=True, help="Only show what would be undone.")
@click.option(
    "--apply", "applying", is_flag=True, help="Needed with --since and --log, which otherwise only show it."
)
@json_option
@pass_app
def undo(
    app: App,
    batch: int | None,
    since: str | None,
    entries: str | None,
    dry_run: bool,
    applying: bool,
    as_json: bool,
) -> None:
    """Undo an import (its BATCH), or edits of contacts since a time or in a part of the log.

    Fields that somebody changed since keep their values and are named. Added contacts become deletes.
    """
    from syncer.store.read import undo_queries
    from syncer.sync.undoing import Undoing

    if sum(one is not None for one in (batch, since, entries)) != 1:
        raise click.UsageError("name one thing to undo: a BATCH, --since or --log")
    if dry_run and applying:
        raise click.UsageError("--dry-run and --apply exclude each other")
    stamp = _stamp(app, since) if since is not None else None
    span = _span(entries) if entries is not None else None
    settings = app.settings()
    acts = applying or (batch is not None and not dry_run)
    with app.deciding(settings) as db:
        with db.read() as conn:
            spans = _spans(conn, batch, stamp, span)
            gone = 0 if batch is None else undo_queries.missing(conn, spans)
        undoing = Undoing(db, spans, settings.region_of)
        done = _apply(undoing.apply(batch, app.stamp)) if acts else list(undoing.plan())
    if as_json:
        emit_json({"batch": batch, "applied": acts, "missing": gone, "rows": [_record(one) for one in done]})
        return
    _print(done, gone, acts, batch)


def _apply(undone: Iterable[Undo]) -> list[Undo]:
    """Undo, and return what was done. If that fails, say on stderr how far it has got."""
    done: list[Undo] = []
    try:
        done.extend(undone)  # keeps what came before an error
    except BaseException:
        if done:
            text = f"The undo broke off: {count(len(done), 'contact')} so far. Run it again for the rest."
            say(text, err=True)
        raise
    return done


def _stamp(app: App, text: str) -> str:
    """What `--since` means, as UTC text."""
    from datetime import datetime

    from syncer.core.normalise import utc_text

    if re.match(r"\d{4}-\d{2}-\d{2}.", text):
        try:
            return utc_text(datetime.fromisoformat(text).astimezone())
        except (ValueError, OverflowError):
            raise click.UsageError(f"--since {text} is not a time: write 2026-11-29 14:30, or 30m") from None
    return since_stamp(app, text)


def _span(text: str) -> Span:
    """What `--log` means."""
    found = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", text)
    if not found or int(found[2] or found[1]) < int(found[1]):
        raise click.UsageError(f"--log {text}: write the first and the last entry, such as 1200-1350")
    return int(found[1]), int(found[2] or found[1])


def _spans(conn: Reader, batch: int | None, stamp: str | None, span: Span | None) -> list[Span]:
    from syncer.store.read import import_queries, undo_queries

    if span is not None:
        return [span]
    if stamp is not None:
        found = undo_queries.since(conn, stamp)
        return [] if found is None else [found]
    assert batch is not None
    known = import_queries.load_batch(conn, batch)
    if known is None:
        raise UsageError(
            f"there is no batch {batch}: `syncer contacts imports` lists them; nothing was changed"
        )
    if known["undone_at"]:
        raise UsageError(
            f"batch {batch} was undone already, {local(known['undone_at'])}; nothing was changed"
        )
    return import_queries.spans(conn, batch)


def _record(one: Undo) -> dict[str, object]:
    return {
        "contact": one.contact,
        "action": one.action,
        "fields": dict(one.fields),
        "kept": list(one.kept),
        "reason": one.reason or None,
    }


def _print(done: Iterable[Undo], gone: int, acts: bool, batch: int | None) -> None:
    counts: Counter[str] = Counter()
    for one in done:
        counts[one.action] += 1
        values = ", ".join(f"{name} {value!r}" for name, value in one.fields.items())
        text = "; ".join(part for part in (values, one.reason) if part)
        say(f"contact {one.contact:<6} {one.action:<10}  {text}".rstrip())
    if counts:
        say()
    if gone:
        say(
            f"{count(gone, 'entry', 'entries')} of the log are no longer there (`retention.log`, or a forgotten person): "
            "what they changed stays."
        )
    if not counts:
        say("There is nothing to undo.")
        return
    listed = ", ".join(f"{number:,} {action}" for action, number in counts.items())
    say(f"{count(sum(counts.values()), 'contact')}: {listed}.")
    if acts:
        deletes = (
            "; deletes of what upstream has wait for `syncer queue approve`, unless push.deletes is on"
            if counts["delete"]
            else ""
        )
        say(f"The push sends that upstream{deletes}.")
    elif set(counts) - {"keep"}:
        how = "without --dry-run" if batch is not None else "with --apply"
        say(f"Nothing was changed. Run it again {how} to write this.")
