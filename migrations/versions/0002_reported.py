"""What waits for a person and was logged: a restart of the daemon does not log it again."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.execute(
        """CREATE TABLE reported (
    kind TEXT NOT NULL,
    id INTEGER NOT NULL,
    account TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (kind, id)
)
STRICT"""
    )
