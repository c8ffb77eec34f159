"""The triggers that fill `outbox`, in the same transaction as the voicemail, call, change, hold or job that it is about.

`notify_targets` says which target wants what. The `notify` jobs send.
"""

from __future__ import annotations

from syncer.store.db.call_sql import ANSWERED_SMARTFLO, INBOUND_SMARTFLO, MISSED_TELECMI
from syncer.store.db.guard_sql import NOW

#: The states of a change in which it waits for a person; each is an event of the same name.
_WAITING = "('conflict', 'rejected', 'held')"


def _add(event: str, table: str, row: str, at: str, where: str) -> str:
    """SQL that adds a notification for each target that wants the event. All arguments are SQL, too."""
    return (
        "INSERT INTO outbox (target, event, table_name, row_id, state, created_at)\n"
        f"    SELECT n.target, n.event, {table}, {row}, 'queued', {at} FROM notify_targets n\n"
        f"    WHERE n.event = {event}{where} ORDER BY n.target;"
    )


def _recent(stamp: str) -> str:
    """The condition that a row was not too old for the target when it was first seen. An unknown time passes."""
    age = f"(julianday(NEW.first_seen_at) - julianday(NEW.{stamp})) * 86400"
    return f" AND COALESCE({age}, 0) <= n.max_age_s"


def _arrival(event: str, table: str, stamp: str, when: str) -> str:
    add = _add(f"'{event}'", f"'{table}'", "NEW.id", f"COALESCE(NEW.first_seen_at, {NOW})", _recent(stamp))
    return (
        f"CREATE TRIGGER outbox_{table} AFTER INSERT ON {table}\n"
        f"WHEN EXISTS (SELECT 1 FROM notify_targets WHERE event = '{event}'){when}\nBEGIN\n    {add}\nEND"
    )


def _change(verb: str, when: str) -> str:
    once = (
        " AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.table_name = 'change_queue' AND o.row_id = NEW.id "
        "AND o.event = n.event AND o.target = n.target)"
    )
    add = _add("NEW.state", "'change_queue'", "NEW.id", NOW, once)
    name = f"outbox_change_queue_{verb.split()[0].lower()}"
    return (
        f"CREATE TRIGGER {name} AFTER {verb} ON change_queue WHEN NEW.state IN {_WAITING}{when}\n"
        f"BEGIN\n    {add}\nEND"
    )


def _job(event: str) -> str:
    """SQL that adds a notification about a job, except to the target that the job sends to."""
    others = " AND NOT (NEW.job = 'notify' AND NEW.account = n.target)"
    run = "(SELECT COALESCE(max(r.id), 0) FROM sync_runs r WHERE r.job = NEW.job AND r.account = NEW.account)"
    return _add(f"'{event}'", "'sync_runs'", run, NOW, others)


def expected() -> dict[str, str]:
    """Each of these triggers: name -> SQL."""
    missed_telecmi = MISSED_TELECMI.replace("t.", "NEW.")
    answered, inbound = (one.replace("s.", "NEW.") for one in (ANSWERED_SMARTFLO, INBOUND_SMARTFLO))
    known = "EXISTS (SELECT 1 FROM stale_jobs s WHERE s.job = NEW.job AND s.account = NEW.account)"
    return {
        "outbox_telecmi_voicemails": _arrival("voicemail", "telecmi_voicemails", "received_at", ""),
        "outbox_telecmi_calls": _arrival(
            "missed-call", "telecmi_calls", "started_at", f"\n  AND {missed_telecmi}"
        ),
        "outbox_smartflo_calls": _arrival(
            "missed-call",
            "smartflo_calls",
            "started_at",
            f"\n  AND {inbound} AND COALESCE({answered}, 0) = 0",
        ),
        "outbox_change_queue_insert": _change("INSERT", ""),
        "outbox_change_queue_update": _change("UPDATE OF state", " AND OLD.state <> NEW.state"),
        "outbox_held": (
            "CREATE TRIGGER outbox_held AFTER INSERT ON held\n"
            f"BEGIN\n    {_add(repr('held'), repr('held'), 'NEW.id', 'NEW.created_at', '')}\nEND"
        ),
        "outbox_stale": f"CREATE TRIGGER outbox_stale AFTER INSERT ON stale_jobs\nBEGIN\n    {_job('stale')}\nEND",
        "outbox_recovered": (
            "CREATE TRIGGER outbox_recovered AFTER UPDATE OF last_ok_at ON sync_jobs\n"
            f"WHEN NEW.last_ok_at IS NOT OLD.last_ok_at AND {known}\nBEGIN\n    {_job('recovered')}\n"
            "    DELETE FROM stale_jobs WHERE job = NEW.job AND account = NEW.account;\nEND"
        ),
    }
