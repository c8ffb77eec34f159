"""The triggers that refuse people's writes to read-only tables and views.

`triggers.py` handles edits of `telecmi_contacts`.
"""

from __future__ import annotations

from syncer.store.db.guard_sql import PEOPLE
from syncer.store.db.mirrors import MIRRORS, READ_ONLY

#: By table that is not a mirror: what the refusal says after "NAME is read-only: ".
_ADVICE = {
    "telecmi_notes": f"{READ_ONLY}; edit the contact in telecmi_contacts instead",
    "voicemail_audio": "it records which recordings are kept as files; `syncer voicemails save` copies one",
    "change_queue": "edit contacts in telecmi_contacts, settle changes with `syncer queue`",
    "change_log": "it records what happened; edit contacts in telecmi_contacts instead",
    "held": "decide with `syncer held approve` or `syncer held reject`",
    "sync_runs": "it records what happened",
    "contact_base": "it is what upstream and we last agreed on; edit the contact in telecmi_contacts instead",
    "push_intents": "it is the record of what was sent; edit contacts in telecmi_contacts instead",
    "sync_jobs": "it is kept by syncer; change the config instead",
    "telecmi_accounts": "it is kept by syncer; change the config instead",
    "windows": "it is kept by syncer",
    "callback_numbers": "mark a number in callback_marks, or with `syncer callbacks done`",
    "set_aside": "it is kept by syncer",
    "absences": "it is kept by syncer",
    "voicemail_clocks": "it is kept by syncer",
    "home": "`syncer db adopt` changes it",
    "forgotten": "it is kept by syncer; `syncer forget` adds to it",
    "reported": "it is kept by syncer",
    "import_batches": "it records what was imported; `syncer contacts undo` takes an import back",
    "import_spans": "it is kept by syncer",
    "notify_targets": "it is kept by syncer; change the config instead",
    "outbox": "it records what was sent to whom",
    "stale_jobs": "it is kept by syncer",
    "published_edits": "it records which edits came from a published copy",
    "publish_targets": "it is kept by syncer; change the config instead",
    "held_rows": "decide with `syncer held approve` or `syncer held reject`",
}

#: The same for views.
_VIEWS = {
    "contacts": "it is a view; edit telecmi_contacts instead (Smartflo's contacts in Smartflo's portal)",
    "voicemails": "it is a view; a caller's name is edited in telecmi_contacts",
    "sync_health": "it is a view of how the jobs do",
    "calls": "it is a view of the calls of both vendors",
    "callbacks": "it is a view; INSERT the number into callback_marks, or use `syncer callbacks done`",
}

#: The guard row cannot be added, deleted or changed by people, except that it can be opened and closed.
_GUARD_ADVICE = "it is kept by syncer; edit contacts in telecmi_contacts instead"
_GUARD_WHEN = {
    "INSERT": "EXISTS (SELECT 1 FROM sync_guard)",
    "UPDATE": (
        "OLD.active = 0 AND (NEW.id IS NOT OLD.id OR NEW.epoch IS NOT OLD.epoch OR NEW.active IS OLD.active)"
    ),
    "DELETE": "1",
}


def _refusal(name: str, verb: str, advice: str, timing: str, when: str = "") -> tuple[str, str]:
    """A trigger that refuses one kind of write to a table or view: its name and SQL."""
    message = f"{name} is read-only: {advice}".replace("'", "''")
    trigger = f"{name}_read_only_{verb.lower()}"
    condition = f" WHEN {when}" if when else ""
    return trigger, (
        f"CREATE TRIGGER {trigger} {timing} {verb} ON {name}{condition}\n"
        f"BEGIN\n    SELECT RAISE(ABORT, '{message}');\nEND"
    )


def expected() -> dict[str, str]:
    """Each of these triggers: name -> SQL."""
    tables = {one.name: one.advice for one in MIRRORS.values() if not one.editable} | _ADVICE
    verbs = ("INSERT", "UPDATE", "DELETE")
    return dict(
        [
            *(_refusal(name, verb, tables[name], "BEFORE", PEOPLE) for name in tables for verb in verbs),
            *(_refusal("sync_guard", verb, _GUARD_ADVICE, "BEFORE", _GUARD_WHEN[verb]) for verb in verbs),
            *(_refusal(name, verb, _VIEWS[name], "INSTEAD OF") for name in _VIEWS for verb in verbs),
        ]
    )
