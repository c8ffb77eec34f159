"""The views that people query: contacts of any provider, voicemails with names, health of the jobs.

Computed when they are read, by whoever reads them, so that a dead daemon looks stale.
"""

from __future__ import annotations

from sqlalchemy import Connection

_FULL_NAME = "trim(COALESCE({0}.first_name, '') || ' ' || COALESCE({0}.last_name, ''))"


def _caller(column: str) -> str:
    """The caller's `column` (`name` or `company`), by the fixed order of sources.

    First the directory of the same account, then the user's own list, then other TeleCMI accounts,
    then Smartflo; within a source the oldest row.
    """
    name = column == "name"
    contact = _FULL_NAME.format("c") if name else "c.company"
    user = "u.name" if name else "NULL"
    flo = "s.name" if name else "s.company_name"
    live = "phone_e164 = v.phone_e164 AND {0}.deleted_at IS NULL"
    return f"""COALESCE(
      (SELECT NULLIF({contact}, '') FROM telecmi_contacts c
        WHERE c.{live.format("c")} AND c.account = v.account ORDER BY c.id LIMIT 1),
      (SELECT NULLIF({user}, '') FROM telecmi_user_contacts u
        WHERE u.{live.format("u")} AND u.account = v.account ORDER BY u.id LIMIT 1),
      (SELECT NULLIF({contact}, '') FROM telecmi_contacts c
        WHERE c.{live.format("c")} AND c.account <> v.account ORDER BY c.id LIMIT 1),
      (SELECT NULLIF({user}, '') FROM telecmi_user_contacts u
        WHERE u.{live.format("u")} AND u.account <> v.account ORDER BY u.id LIMIT 1),
      (SELECT NULLIF({flo}, '') FROM smartflo_contacts s
        WHERE s.{live.format("s")} ORDER BY s.id LIMIT 1))"""


_VIEWS = {
    "contacts": f"""
CREATE VIEW contacts AS
SELECT 'telecmi' AS provider, c.account AS account, {_FULL_NAME.format("c")} AS name,
    c.phone_e164 AS phone_e164, c.email_id AS email, c.company AS company,
    'telecmi_contacts' AS source_table, c.id AS source_id
FROM telecmi_contacts c WHERE c.deleted_at IS NULL
UNION ALL
SELECT 'telecmi', u.account, u.name, u.phone_e164, u.email, NULL, 'telecmi_user_contacts', u.id
FROM telecmi_user_contacts u
WHERE u.deleted_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM telecmi_contacts c
    WHERE c.phone_e164 = u.phone_e164 AND c.account = u.account AND c.deleted_at IS NULL)
UNION ALL
SELECT 'smartflo', s.account, s.name, s.phone_e164, s.email_id, s.company_name, 'smartflo_contacts', s.id
FROM smartflo_contacts s WHERE s.deleted_at IS NULL""",
    "voicemails": f"""
CREATE VIEW voicemails AS
SELECT v.id AS id, v.account AS account, v.voicename AS voicename, v.received_at AS received_at,
    v.from_number AS from_number, v.phone_e164 AS phone_e164,
    {_caller("name")} AS caller_name,
    {_caller("company")} AS caller_company,
    v.time AS time, v.first_seen_at AS first_seen_at
FROM telecmi_voicemails v WHERE v.deleted_at IS NULL""",
    "sync_health": """
CREATE VIEW sync_health AS
SELECT j.job AS job, j.account AS account, j.last_ok_at AS last_ok_at,
    CAST((julianday('now') - julianday(j.last_ok_at)) * 86400 AS INTEGER) AS age_s,
    j.every_s AS every_s,
    CASE WHEN j.last_ok_at IS NULL THEN 1
        WHEN (julianday('now') - julianday(j.last_ok_at)) * 86400 > 3 * j.every_s THEN 1
        ELSE 0 END AS stale,
    j.last_complete_at AS last_complete_at, j.failures AS failures, j.paused_until AS paused_until
FROM sync_jobs j WHERE j.enabled = 1""",
}


def expected() -> dict[str, str]:
    """Every view: name -> SQL."""
    return {name: sql.strip() for name, sql in _VIEWS.items()}


def ensure(conn: Connection) -> list[str]:
    """Create what is missing or differs; returns the names that had to be mended."""
    there: dict[str, str] = dict(
        conn.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'view'").all()
    )
    lost = [name for name, sql in expected().items() if there.get(name) != sql]
    for name in lost:
        conn.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
        conn.exec_driver_sql(expected()[name])
    return lost
