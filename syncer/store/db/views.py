"""The views that people query: contacts of any provider, voicemails with names, health of the jobs.

They are computed when they are read, so jobs look stale as soon as the daemon is dead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.core.due import SLACK
from syncer.core.retry import LONGEST_PAUSE
from syncer.store.db import call_views, objects
from syncer.store.db.call_sql import FULL_NAME, caller

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: The difference, in minutes, between `time` and the epoch in the file names of the newest voicemails (in
#: milliseconds or seconds): the most common one, in quarters of an hour.
_SHIFT = """(SELECT 15 * shift FROM (
        SELECT CAST(round(CASE WHEN abs(v.time - v.ms) <= 86400000 THEN v.time - v.ms
            WHEN abs(v.time - 1000 * v.s) <= 86400000 THEN v.time - 1000 * v.s END / 900000.0) AS INTEGER) AS shift
        FROM (SELECT w.time, CAST(substr(w.voicename, 1, 13) AS INTEGER) AS ms,
            CAST(substr(w.voicename, 1, 10) AS INTEGER) AS s
            FROM telecmi_voicemails w WHERE w.account = j.account ORDER BY w.id DESC LIMIT 200) v)
        WHERE shift IS NOT NULL GROUP BY shift ORDER BY count(*) DESC LIMIT 1)"""

#: Whether the last full listing was complete; NULL if there was none.
_COMPLETE = """(SELECT r.listing LIKE '{"verdict": "complete"%' FROM sync_runs r
        WHERE r.job = j.job AND r.account = j.account AND r.listing LIKE '%"whole": true%'
        ORDER BY r.id DESC LIMIT 1)"""

#: How far in the future a run can have ended, in seconds, and a pause can end, in days: see `core/due.py`.
_SLACK = int(SLACK.total_seconds())
_LONGEST_PAUSE = (LONGEST_PAUSE + _SLACK) / 86400

_AGE = "(julianday('now') - julianday(j.last_ok_at)) * 86400"

_VIEWS = {
    # A contact of the user's list that is also in telecmi_contacts is one contact: by its number, or by the
    # number in base, which a local edit does not change.
    "contacts": f"""
CREATE VIEW contacts AS
SELECT 'telecmi' AS provider, c.account AS account, {FULL_NAME.format("c")} AS name,
    c.phone_e164 AS phone_e164, c.email_id AS email, c.company AS company,
    'telecmi_contacts' AS source_table, c.id AS source_id
FROM telecmi_contacts c WHERE c.deleted_at IS NULL
UNION ALL
SELECT 'telecmi', u.account, u.name, u.phone_e164, u.email, NULL, 'telecmi_user_contacts', u.id
FROM telecmi_user_contacts u
WHERE u.deleted_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM telecmi_contacts c
    WHERE c.phone_e164 = u.phone_e164 AND c.account = u.account AND c.deleted_at IS NULL)
  AND NOT EXISTS (
    SELECT 1 FROM contact_base b JOIN telecmi_contacts c ON c.id = b.row_id
    WHERE b.account = u.account AND b.phone_e164 IS u.phone_e164 AND b.source <> 'gone'
      AND (u.phone_e164 IS NOT NULL OR b.phone_no = u.mobile) AND c.deleted_at IS NULL)
UNION ALL
SELECT 'smartflo', s.account, s.name, s.phone_e164, s.email_id, s.company_name, 'smartflo_contacts', s.id
FROM smartflo_contacts s WHERE s.deleted_at IS NULL""",
    "voicemails": f"""
CREATE VIEW voicemails AS
SELECT v.id AS id, v.account AS account, v.voicename AS voicename, v.received_at AS received_at,
    v.from_number AS from_number, v.phone_e164 AS phone_e164,
    {caller("name")} AS caller_name,
    {caller("company")} AS caller_company,
    v.time AS time, v.first_seen_at AS first_seen_at
FROM telecmi_voicemails v""",
    # A time in the future (from a wrong clock) does not prove freshness.
    "sync_health": f"""
CREATE VIEW sync_health AS
SELECT j.job AS job, j.account AS account, j.last_ok_at AS last_ok_at,
    CAST({_AGE} AS INTEGER) AS age_s, j.every_s AS every_s,
    CASE WHEN {_AGE} BETWEEN -{_SLACK} AND 3 * j.every_s THEN 0 ELSE 1 END AS stale,
    j.last_complete_at AS last_complete_at, j.failures AS failures,
    CASE WHEN julianday(j.paused_until) - julianday('now') BETWEEN 0 AND {_LONGEST_PAUSE} THEN j.paused_until END
        AS paused_until,
    {_COMPLETE} AS complete,
    (SELECT count(*) FROM set_aside a WHERE a.job = j.job AND a.account = j.account) AS set_aside,
    (SELECT COALESCE(sum(h.rows), 0) FROM held h
        WHERE h.job = j.job AND h.account = j.account AND h.decided_at IS NULL) AS held,
    CASE WHEN j.job = 'telecmi-push' THEN (SELECT count(*) FROM change_queue q
        WHERE q.account = j.account AND q.state = 'unknown') ELSE 0 END AS unknown,
    CASE WHEN j.job = 'telecmi-voicemails' THEN {_SHIFT} END AS time_shift_minutes,
    CASE WHEN j.notes LIKE '%"filter": "honoured"%' THEN 1
        WHEN j.notes LIKE '%"filter": "ignored"%' THEN 0 END AS updated_after_honoured
FROM sync_jobs j WHERE j.enabled = 1""",
}


def expected() -> dict[str, str]:
    """Every view: name -> SQL."""
    return {name: sql.strip() for name, sql in (_VIEWS | call_views.expected()).items()}


def missing(conn: Connection) -> list[str]:
    """Names of views that are missing or different."""
    return objects.differing(conn, "view", expected())


def ensure(conn: Connection) -> list[str]:
    """Create missing or different views. Returns their names."""
    return objects.ensure(conn, "view", expected())
