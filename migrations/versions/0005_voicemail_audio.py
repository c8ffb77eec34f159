"""Recordings of voicemails."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = (
    """CREATE TABLE voicemail_audio (
    voicemail INTEGER NOT NULL,
    state TEXT NOT NULL,
    path TEXT,
    bytes INTEGER,
    sha256 TEXT,
    media_type TEXT,
    fetched_at TEXT,
    attempts INTEGER DEFAULT '0' NOT NULL,
    first_tried_at TEXT,
    next_attempt_at TEXT,
    last_error TEXT,
    PRIMARY KEY (voicemail),
    CHECK (state IN ('waiting', 'kept', 'gone', 'failed', 'expired')),
    CHECK (state <> 'kept' OR (path IS NOT NULL AND bytes IS NOT NULL AND sha256 IS NOT NULL)),
    FOREIGN KEY(voicemail) REFERENCES telecmi_voicemails (id)
)
STRICT""",
    "CREATE INDEX voicemail_audio_state ON voicemail_audio (state, next_attempt_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
