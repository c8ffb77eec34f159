"""Edits that were written into a published copy, and what became of each."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """CREATE TABLE published_edits (
    request TEXT NOT NULL,
    target TEXT NOT NULL,
    state TEXT NOT NULL,
    contact_row INTEGER,
    change_id INTEGER,
    note TEXT,
    taken_at TEXT NOT NULL,
    PRIMARY KEY (request),
    CHECK (state IN ('taken', 'refused'))
)
STRICT"""
    )
