"""The tables of published copies: how far each target is, and which rows have changed since."""

from __future__ import annotations

from sqlalchemy import Column, Text

from syncer.store.db.column_types import id_, int_, one_of, table, text_

#: The targets `[publish.NAME]` of the config, and what is known of the copy of each.
publish_targets = table(
    "publish_targets",
    Column("target", Text, primary_key=True, nullable=False),
    text_("registered_at", null=False),
    int_("mark"),  # the newest of `publish_marks` that the copy has; NULL: it was never published whole
    int_("floor"),  # marks after it are kept for a whole publish that is under way
    int_("seq"),  # the newest entry of `change_log` that the copy has
    text_("token"),  # names the newest state that the copy is known to have
    text_("next_token"),  # and the one that was under way
    text_("revision"),  # the schema of this database at that time
    text_("published_at"),
    text_("swept_at"),  # when every row was compared last
    autoincrement=False,
)

#: Rows that changed, in order, while there are targets; kept until every target has them.
publish_marks = table(
    "publish_marks",
    id_(),
    text_("table_name", null=False),
    text_("row_key", null=False),
    text_("at", null=False),
)

#: Edits that were written into a copy: each is applied once, whatever is killed.
published_edits = table(
    "published_edits",
    Column("request", Text, primary_key=True, nullable=False),  # names the edit there
    text_("target", null=False),
    text_("state", null=False),
    int_("contact_row"),
    int_("change_id"),
    text_("note"),
    text_("taken_at", null=False),
    one_of("state", "taken", "refused"),
    autoincrement=False,
)
