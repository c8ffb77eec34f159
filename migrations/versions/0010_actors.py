"""Who made a local change, and who decided about a change or a hold."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE change_log ADD COLUMN actor TEXT",
    "ALTER TABLE change_queue ADD COLUMN decided_by TEXT",
    "ALTER TABLE held ADD COLUMN decided_by TEXT",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
