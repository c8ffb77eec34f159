"""Published copies: how far each target is, and which rows have changed since."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATEMENTS = (
    """CREATE TABLE publish_targets (
    target TEXT NOT NULL,
    registered_at TEXT NOT NULL,
    mark INTEGER,
    floor INTEGER,
    seq INTEGER,
    token TEXT,
    next_token TEXT,
    revision TEXT,
    published_at TEXT,
    swept_at TEXT,
    PRIMARY KEY (target)
)
STRICT""",
    """CREATE TABLE publish_marks (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    table_name TEXT NOT NULL,
    row_key TEXT NOT NULL,
    at TEXT NOT NULL
)
STRICT""",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
