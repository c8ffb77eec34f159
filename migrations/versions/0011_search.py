"""An index that holds all that a search for contacts looks at."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

STATEMENTS = (
    "DROP INDEX IF EXISTS telecmi_contacts_first_name",
    "CREATE INDEX telecmi_contacts_search ON telecmi_contacts "
    "(first_name, last_name, company, email_id, phone_no, phone_e164, job_title, account, deleted_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
