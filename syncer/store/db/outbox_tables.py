"""The tables of notifications: which target wants which events, and what is to be sent."""

from __future__ import annotations

from sqlalchemy import Column, Index, Text

from syncer.store.db.column_types import id_, int_, one_of, table, text_

#: The events that each target of the config wants. Triggers read it.
notify_targets = table(
    "notify_targets",
    Column("target", Text, primary_key=True, nullable=False),
    Column("event", Text, primary_key=True, nullable=False),
    int_("max_age_s", null=False),  # what is older when it is first seen is not sent
    autoincrement=False,
)

#: Notifications, in the order of sending. Their text is composed from the row when they are sent.
outbox = table(
    "outbox",
    id_(),
    text_("target", null=False),
    text_("event", null=False),
    text_("table_name", null=False),
    int_("row_id", null=False),
    text_("state", null=False),
    int_("attempts", null=False, default="0"),
    text_("first_attempt_at"),
    text_("next_attempt_at"),
    text_("created_at", null=False),
    text_("sent_at"),
    text_("last_error"),
    one_of("state", "queued", "sent", "dead"),
    Index("outbox_target", "target", "state", "id"),
    Index("outbox_row", "table_name", "row_id"),
)

#: Jobs that were reported because they have not succeeded in time. Their next success removes them.
stale_jobs = table(
    "stale_jobs",
    Column("job", Text, primary_key=True, nullable=False),
    Column("account", Text, primary_key=True, nullable=False),
    text_("since", null=False),
    autoincrement=False,
)
