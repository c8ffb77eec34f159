"""The tables of imports. `change_log` has what an import changed; these tables say which entries."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer

from syncer.store.db.column_types import id_, int_, table, text_

import_batches = table(
    "import_batches",
    id_(),
    text_("file_name", null=False),  # without its folder
    text_("format", null=False),
    text_("by", null=False),
    text_("created_at", null=False),
    text_("finished_at"),  # NULL if it was interrupted
    text_("undone_at"),
    int_("added", null=False, default="0"),
    int_("updated", null=False, default="0"),
)

#: Ranges of `change_log` that a batch wrote. Each is from one transaction, in which nobody else writes.
import_spans = table(
    "import_spans",
    Column("batch", Integer, ForeignKey("import_batches.id"), primary_key=True, nullable=False),
    Column("first_seq", Integer, primary_key=True, nullable=False),
    int_("last_seq", null=False),
    autoincrement=False,
)
