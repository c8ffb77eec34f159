"""Notifications: whom to tell of what, and what is still to be sent."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATEMENTS = (
    """CREATE TABLE notify_targets (
    target TEXT NOT NULL,
    event TEXT NOT NULL,
    max_age_s INTEGER NOT NULL,
    PRIMARY KEY (target, event)
)
STRICT""",
    """CREATE TABLE outbox (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    target TEXT NOT NULL,
    event TEXT NOT NULL,
    table_name TEXT NOT NULL,
    row_id INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER DEFAULT '0' NOT NULL,
    first_attempt_at TEXT,
    next_attempt_at TEXT,
    created_at TEXT NOT NULL,
    sent_at TEXT,
    last_error TEXT,
    CHECK (state IN ('queued', 'sent', 'dead'))
)
STRICT""",
    "CREATE INDEX outbox_row ON outbox (table_name, row_id)",
    "CREATE INDEX outbox_target ON outbox (target, state, id)",
    """CREATE TABLE stale_jobs (
    job TEXT NOT NULL,
    account TEXT NOT NULL,
    since TEXT NOT NULL,
    PRIMARY KEY (job, account)
)
STRICT""",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
