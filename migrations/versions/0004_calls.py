"""Calls of both vendors, who waits for a call back, and windows of any list."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    """CREATE TABLE windows (
    account TEXT NOT NULL,
    list TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    end_ms INTEGER NOT NULL,
    verified_ms INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    PRIMARY KEY (account, list, start_ms)
)
STRICT""",
    """CREATE TABLE telecmi_calls (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    cmiuid TEXT NOT NULL,
    from_number TEXT,
    to_number TEXT,
    phone_e164 TEXT,
    agent TEXT,
    duration INTEGER,
    billedsec INTEGER,
    filename TEXT,
    time INTEGER,
    started_at TEXT,
    first_seen_at TEXT,
    last_changed_at TEXT,
    deleted_at TEXT,
    raw TEXT,
    CHECK (kind IN ('answered', 'missed', 'out_answered', 'out_missed')),
    UNIQUE (account, kind, cmiuid)
)
STRICT""",
    "CREATE INDEX telecmi_calls_phone ON telecmi_calls (phone_e164, started_at)",
    "CREATE INDEX telecmi_calls_started ON telecmi_calls (started_at)",
    "CREATE INDEX telecmi_calls_time ON telecmi_calls (account, kind, time)",
    """CREATE TABLE smartflo_calls (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    smartflo_id TEXT NOT NULL,
    call_id TEXT,
    direction TEXT,
    status TEXT,
    client_number TEXT,
    phone_e164 TEXT,
    did_number TEXT,
    agent_number TEXT,
    agent_name TEXT,
    call_duration INTEGER,
    answered_seconds INTEGER,
    voicemail INTEGER DEFAULT '0' NOT NULL,
    started_at TEXT,
    first_seen_at TEXT,
    last_changed_at TEXT,
    deleted_at TEXT,
    raw TEXT,
    CHECK (voicemail IN (0, 1)),
    UNIQUE (account, smartflo_id)
)
STRICT""",
    "CREATE INDEX smartflo_calls_phone ON smartflo_calls (phone_e164, started_at)",
    "CREATE INDEX smartflo_calls_started ON smartflo_calls (started_at)",
    "CREATE INDEX smartflo_calls_time ON smartflo_calls (account, started_at)",
    """CREATE TABLE callback_marks (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    phone_e164 TEXT NOT NULL,
    note TEXT,
    "by" TEXT,
    marked_at TEXT,
    reopens INTEGER DEFAULT '0' NOT NULL,
    CHECK (reopens IN (0, 1))
)
STRICT""",
    "CREATE INDEX callback_marks_phone ON callback_marks (phone_e164, id)",
    """CREATE TABLE callback_numbers (
    phone_e164 TEXT NOT NULL,
    missed INTEGER NOT NULL,
    voicemails INTEGER NOT NULL,
    first_at TEXT,
    last_at TEXT,
    answered_at TEXT,
    marked_at TEXT,
    mark INTEGER,
    PRIMARY KEY (phone_e164)
)
STRICT""",
    "CREATE INDEX callback_numbers_first ON callback_numbers (first_at)",
    "INSERT INTO windows (account, list, start_ms, end_ms, verified_ms, rows) "
    "SELECT account, 'telecmi_voicemails', start_ms, end_ms, verified_ms, rows FROM voicemail_windows",
    "DROP TABLE voicemail_windows",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
