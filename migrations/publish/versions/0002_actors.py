"""Who made a local change, and who decided about a change."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE change_log ADD COLUMN actor text",
    "ALTER TABLE change_queue ADD COLUMN decided_by text",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement)
