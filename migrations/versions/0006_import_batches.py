"""Imports, each with the part of the change log that it wrote."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STATEMENTS = (
    """CREATE TABLE import_batches (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    file_name TEXT NOT NULL,
    format TEXT NOT NULL,
    "by" TEXT NOT NULL,
    created_at TEXT NOT NULL,
    finished_at TEXT,
    undone_at TEXT,
    added INTEGER DEFAULT '0' NOT NULL,
    updated INTEGER DEFAULT '0' NOT NULL
)
STRICT""",
    """CREATE TABLE import_spans (
    batch INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    PRIMARY KEY (batch, first_seq),
    FOREIGN KEY(batch) REFERENCES import_batches (id)
)
STRICT""",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
