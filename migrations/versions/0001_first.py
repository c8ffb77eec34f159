"""The first schema: mirrors, the editable contacts, the change queue and its records."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """CREATE TABLE absences (
    table_name TEXT NOT NULL,
    row_id INTEGER NOT NULL,
    noted_at TEXT NOT NULL,
    PRIMARY KEY (table_name, row_id)
)
STRICT""",
    """CREATE TABLE change_log (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    table_name TEXT NOT NULL,
    row_id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    field TEXT,
    old TEXT,
    new TEXT,
    origin TEXT NOT NULL,
    CHECK (kind IN ('insert', 'update', 'delete')),
    CHECK (origin IN ('upstream', 'local'))
)
STRICT""",
    "CREATE INDEX change_log_at ON change_log (at)",
    "CREATE INDEX change_log_row ON change_log (table_name, row_id)",
    """CREATE TABLE contact_base (
    row_id INTEGER NOT NULL,
    account TEXT NOT NULL,
    source TEXT NOT NULL,
    contact_id TEXT,
    phone_no TEXT DEFAULT '' NOT NULL,
    first_name TEXT DEFAULT '' NOT NULL,
    last_name TEXT DEFAULT '' NOT NULL,
    email_id TEXT DEFAULT '' NOT NULL,
    company TEXT DEFAULT '' NOT NULL,
    job_title TEXT DEFAULT '' NOT NULL,
    phone_e164 TEXT,
    touched INTEGER DEFAULT '0' NOT NULL,
    PRIMARY KEY (row_id),
    CHECK (source IN ('directory', 'user_list', 'gone'))
)
STRICT""",
    "CREATE INDEX contact_base_phone ON contact_base (account, phone_e164)",
    """CREATE TABLE forgotten (
    digest TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (digest)
)
STRICT""",
    """CREATE TABLE held (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL,
    account TEXT NOT NULL,
    reason TEXT NOT NULL,
    rows INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    decided_at TEXT,
    decision TEXT,
    CHECK (decision IN ('approved', 'rejected', 'superseded')),
    CHECK ((decided_at IS NULL) = (decision IS NULL))
)
STRICT""",
    "CREATE UNIQUE INDEX held_open ON held (job, account) WHERE decided_at IS NULL",
    """CREATE TABLE push_intents (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    change_id INTEGER NOT NULL,
    row_id INTEGER NOT NULL,
    operation TEXT NOT NULL,
    fields TEXT NOT NULL,
    phone_e164 TEXT,
    sent_at TEXT NOT NULL,
    answer TEXT,
    CHECK (operation IN ('add', 'update', 'delete')),
    CHECK (answer IN ('accepted', 'refused'))
)
STRICT""",
    "CREATE INDEX push_intents_change ON push_intents (change_id)",
    "CREATE INDEX push_intents_row ON push_intents (row_id)",
    """CREATE TABLE set_aside (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL,
    account TEXT NOT NULL,
    digest TEXT NOT NULL,
    reason TEXT NOT NULL,
    raw TEXT NOT NULL,
    first_seen_at TEXT NOT NULL,
    last_seen_at TEXT NOT NULL,
    UNIQUE (job, account, digest)
)
STRICT""",
    """CREATE TABLE smartflo_contact_groups (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    group_id TEXT NOT NULL,
    name TEXT,
    description TEXT,
    first_seen_at TEXT,
    last_changed_at TEXT,
    deleted_at TEXT,
    raw TEXT,
    UNIQUE (account, group_id)
)
STRICT""",
    """CREATE TABLE smartflo_contacts (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    smartflo_id TEXT NOT NULL,
    contact_group_id TEXT,
    contact_group_name TEXT,
    phone_number TEXT,
    phone_e164 TEXT,
    name TEXT,
    email_id TEXT,
    address TEXT,
    company_name TEXT,
    custom_fields TEXT,
    created_at TEXT,
    updated_at TEXT,
    first_seen_at TEXT,
    last_changed_at TEXT,
    deleted_at TEXT,
    raw TEXT,
    UNIQUE (account, smartflo_id)
)
STRICT""",
    "CREATE INDEX smartflo_contacts_name ON smartflo_contacts (name)",
    "CREATE INDEX smartflo_contacts_phone ON smartflo_contacts (phone_e164)",
    """CREATE TABLE sync_guard (
    id INTEGER NOT NULL,
    active INTEGER DEFAULT '0' NOT NULL,
    epoch INTEGER DEFAULT '0' NOT NULL,
    PRIMARY KEY (id),
    CHECK (id = 1),
    CHECK (active IN (0, 1))
)
STRICT""",
    """CREATE TABLE sync_jobs (
    job TEXT NOT NULL,
    account TEXT NOT NULL,
    provider TEXT NOT NULL,
    enabled INTEGER DEFAULT '1' NOT NULL,
    every_s INTEGER NOT NULL,
    last_ok_at TEXT,
    last_complete_at TEXT,
    cursor TEXT,
    last_full_at TEXT,
    paused_until TEXT,
    failures INTEGER DEFAULT '0' NOT NULL,
    notes TEXT,
    PRIMARY KEY (job, account)
)
STRICT""",
    """CREATE TABLE sync_runs (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL,
    account TEXT NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    outcome TEXT,
    requests INTEGER DEFAULT '0' NOT NULL,
    seen INTEGER DEFAULT '0' NOT NULL,
    added INTEGER DEFAULT '0' NOT NULL,
    changed INTEGER DEFAULT '0' NOT NULL,
    removed INTEGER DEFAULT '0' NOT NULL,
    error TEXT,
    listing TEXT,
    CHECK (outcome IN ('ok', 'incomplete', 'failed'))
)
STRICT""",
    "CREATE INDEX sync_runs_job ON sync_runs (job, account, id)",
    """CREATE TABLE telecmi_accounts (
    name TEXT NOT NULL,
    contacts INTEGER NOT NULL,
    deletes INTEGER NOT NULL,
    PRIMARY KEY (name),
    CHECK (contacts IN (0, 1)),
    CHECK (deletes IN (0, 1))
)
STRICT""",
    """CREATE TABLE telecmi_contacts (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    account TEXT DEFAULT '',
    contact_id TEXT,
    phone_no TEXT,
    phone_e164 TEXT,
    first_name TEXT,
    last_name TEXT,
    email_id TEXT,
    company TEXT,
    job_title TEXT,
    first_seen_at TEXT,
    last_changed_at TEXT,
    deleted_at TEXT,
    raw TEXT,
    CHECK (id > 0),
    UNIQUE (account, contact_id)
)
STRICT""",
    "CREATE INDEX telecmi_contacts_company ON telecmi_contacts (company)",
    "CREATE INDEX telecmi_contacts_first_name ON telecmi_contacts (first_name)",
    "CREATE INDEX telecmi_contacts_last_name ON telecmi_contacts (last_name)",
    "CREATE INDEX telecmi_contacts_phone ON telecmi_contacts (phone_e164)",
    """CREATE TABLE telecmi_user_contacts (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    agent TEXT,
    inet_no TEXT,
    name TEXT,
    mobile TEXT NOT NULL,
    phone_e164 TEXT,
    tag TEXT,
    status TEXT,
    info TEXT,
    email TEXT,
    time INTEGER,
    remindme INTEGER,
    first_seen_at TEXT,
    last_changed_at TEXT,
    deleted_at TEXT,
    raw TEXT,
    UNIQUE (account, mobile)
)
STRICT""",
    "CREATE INDEX telecmi_user_contacts_name ON telecmi_user_contacts (name)",
    "CREATE INDEX telecmi_user_contacts_phone ON telecmi_user_contacts (phone_e164)",
    """CREATE TABLE telecmi_voicemails (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    voicename TEXT NOT NULL,
    time INTEGER,
    from_number TEXT,
    phone_e164 TEXT,
    received_at TEXT,
    first_seen_at TEXT,
    last_changed_at TEXT,
    deleted_at TEXT,
    raw TEXT,
    UNIQUE (account, voicename)
)
STRICT""",
    "CREATE INDEX telecmi_voicemails_phone ON telecmi_voicemails (phone_e164)",
    "CREATE INDEX telecmi_voicemails_received ON telecmi_voicemails (received_at)",
    """CREATE TABLE voicemail_windows (
    account TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    end_ms INTEGER NOT NULL,
    verified_ms INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    PRIMARY KEY (account, start_ms)
)
STRICT""",
    """CREATE TABLE change_queue (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    contact_row INTEGER NOT NULL,
    operation TEXT NOT NULL,
    state TEXT NOT NULL,
    fields TEXT,
    edit_seq INTEGER,
    attempts INTEGER DEFAULT '0' NOT NULL,
    next_attempt_at TEXT,
    last_error TEXT,
    created_at TEXT NOT NULL,
    sent_at TEXT,
    settled_at TEXT,
    clashes TEXT,
    approved INTEGER DEFAULT '0' NOT NULL,
    found_by TEXT DEFAULT 'trigger' NOT NULL,
    CHECK (operation IN ('add', 'update', 'delete')),
    CHECK (state IN ('queued', 'sending', 'unknown', 'done', 'rejected', 'conflict', 'held', 'discarded')),
    CHECK (approved IN (0, 1)),
    CHECK (found_by IN ('trigger', 'scan')),
    FOREIGN KEY(contact_row) REFERENCES telecmi_contacts (id)
)
STRICT""",
    "CREATE INDEX change_queue_row ON change_queue (contact_row)",
    "CREATE INDEX change_queue_state ON change_queue (state, account)",
    """CREATE TABLE held_rows (
    held_id INTEGER NOT NULL,
    table_name TEXT NOT NULL,
    row_id INTEGER NOT NULL,
    field TEXT DEFAULT '' NOT NULL,
    PRIMARY KEY (held_id, table_name, row_id, field),
    FOREIGN KEY(held_id) REFERENCES held (id)
)
STRICT""",
    """CREATE TABLE telecmi_notes (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    contact_row INTEGER NOT NULL,
    msg TEXT NOT NULL,
    date INTEGER,
    agent TEXT DEFAULT '' NOT NULL,
    first_seen_at TEXT NOT NULL,
    FOREIGN KEY(contact_row) REFERENCES telecmi_user_contacts (id)
)
STRICT""",
    "CREATE INDEX telecmi_notes_contact ON telecmi_notes (contact_row)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    op.execute("INSERT INTO sync_guard (id, active, epoch) VALUES (1, 0, 0)")
