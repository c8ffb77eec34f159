"""Voicemail clocks, the home of a database, and held rows that stay after their decision."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    """CREATE TABLE voicemail_clocks (
    account TEXT NOT NULL,
    clock TEXT NOT NULL,
    contrary INTEGER NOT NULL,
    verified_ms INTEGER,
    newest_row INTEGER NOT NULL,
    follows INTEGER NOT NULL,
    PRIMARY KEY (account),
    CHECK (clock IN ('time', 'voicename', 'unknown')),
    CHECK (follows IN (0, 1))
)
STRICT""",
    """CREATE TABLE home (
    id INTEGER NOT NULL,
    path TEXT NOT NULL,
    machine TEXT,
    PRIMARY KEY (id),
    CHECK (id = 1)
)
STRICT""",
    "ALTER TABLE held_rows ADD COLUMN settled INTEGER DEFAULT '0' NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
