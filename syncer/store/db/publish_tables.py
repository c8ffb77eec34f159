"""The tables of published copies: how far each copy is, and which rows have changed since."""

from __future__ import annotations

from sqlalchemy import Column, Text

from syncer.store.db.column_types import id_, int_, one_of, table, text_

#: The targets `[publish.NAME]` of the config, and how far the copy of each is.
publish_targets = table(
    "publish_targets",
    Column("target", Text, primary_key=True, nullable=False),
    text_("registered_at", null=False),
    int_("mark"),  # the newest of `publish_marks` that the copy has; NULL if it was never complete
    int_("floor"),  # marks after it are kept for a first, full pass that is under way
    int_("seq"),  # the newest entry of `change_log` that the copy has
    text_("token"),  # identifies the newest state that the copy is known to have
    text_("next_token"),  # the state that a pass under way leads to
    text_("revision"),  # the schema of this database at that time
    text_("published_at"),
    text_("swept_at"),  # when all rows were last compared
    autoincrement=False,
)

#: Rows that changed, in order. Filled while there are targets, and kept until every copy has them.
publish_marks = table(
    "publish_marks",
    id_(),
    text_("table_name", null=False),
    text_("row_key", null=False),
    text_("at", null=False),
)

#: Edits that came from a copy. With this record each is applied once, even after a kill.
published_edits = table(
    "published_edits",
    Column("request", Text, primary_key=True, nullable=False),  # identifies the edit in the copy
    text_("target", null=False),
    text_("state", null=False),
    int_("contact_row"),
    int_("change_id"),
    text_("note"),
    text_("taken_at", null=False),
    one_of("state", "taken", "refused"),
    autoincrement=False,
)
