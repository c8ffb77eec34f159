"""The views of a published copy: those of the mirror, with a column `site`."""

from __future__ import annotations

from functools import partial

from syncer.store.db.call_sql import ANSWERED_SMARTFLO, FULL_NAME, INBOUND_SMARTFLO, caller

_caller = partial(caller, site=True)


def expected(schema: str) -> dict[str, str]:
    """View -> SQL."""
    tables = {
        "contacts": f"""
SELECT c.site, 'telecmi' AS provider, c.account, {FULL_NAME.format("c")} AS name, c.phone_e164,
    c.email_id AS email, c.company, 'telecmi_contacts' AS source_table, c.id AS source_id
FROM telecmi_contacts c WHERE c.deleted_at IS NULL
UNION ALL
SELECT u.site, 'telecmi', u.account, u.name, u.phone_e164, u.email, NULL, 'telecmi_user_contacts', u.id
FROM telecmi_user_contacts u
WHERE u.deleted_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM telecmi_contacts c
    WHERE c.site = u.site AND c.phone_e164 = u.phone_e164 AND c.account = u.account AND c.deleted_at IS NULL)
  AND NOT EXISTS (
    SELECT 1 FROM telecmi_agreed_numbers b JOIN telecmi_contacts c ON c.site = b.site AND c.id = b.row_id
    WHERE b.site = u.site AND b.account = u.account AND b.phone_e164 IS NOT DISTINCT FROM u.phone_e164
      AND (u.phone_e164 IS NOT NULL OR b.phone_no = u.mobile) AND c.deleted_at IS NULL)
UNION ALL
SELECT s.site, 'smartflo', s.account, s.name, s.phone_e164, s.email_id, s.company_name, 'smartflo_contacts', s.id
FROM smartflo_contacts s WHERE s.deleted_at IS NULL""",
        "voicemails": f"""
SELECT v.site, v.id, v.account, v.voicename, v.received_at, v.from_number, v.phone_e164,
    {_caller("name")} AS caller_name, {_caller("company")} AS caller_company, v."time", v.first_seen_at
FROM telecmi_voicemails v""",
        "calls": f"""
SELECT v.site, 'telecmi' AS provider, v.account,
    CASE WHEN v.kind IN ('answered', 'missed') THEN 'in' ELSE 'out' END AS direction,
    CASE WHEN v.kind IN ('answered', 'out_answered') THEN 'answered' ELSE 'missed' END AS outcome,
    v.started_at, v.duration AS duration_s, v.phone_e164, v.agent,
    {_caller("name")} AS caller_name, {_caller("company")} AS caller_company,
    0::bigint AS voicemail, 'telecmi_calls' AS source_table, v.id AS source_id
FROM telecmi_calls v
WHERE v.deleted_at IS NULL AND NOT (v.kind IN ('missed', 'out_missed') AND EXISTS (
    SELECT 1 FROM telecmi_calls a WHERE a.site = v.site AND a.account = v.account AND a.cmiuid = v.cmiuid
      AND a.kind = CASE v.kind WHEN 'missed' THEN 'answered' ELSE 'out_answered' END))
UNION ALL
SELECT v.site, 'smartflo', v.account,
    CASE WHEN {INBOUND_SMARTFLO.replace("s.", "v.")} THEN 'in' ELSE 'out' END,
    CASE WHEN {ANSWERED_SMARTFLO.replace("s.", "v.")} THEN 'answered' ELSE 'missed' END,
    v.started_at, v.call_duration, v.phone_e164, COALESCE(NULLIF(v.agent_name, ''), v.agent_number),
    {_caller("name")}, {_caller("company")}, v.voicemail, 'smartflo_calls', v.id
FROM smartflo_calls v WHERE v.deleted_at IS NULL""",
        "callbacks": f"""
SELECT v.site, v.phone_e164, {_caller("name", account=False)} AS caller_name,
    {_caller("company", account=False)} AS caller_company, v.missed, v.voicemails, v.first_at, v.last_at,
    CASE WHEN v.first_at IS NULL THEN 'done' ELSE 'open' END AS state,
    CASE WHEN v.first_at IS NULL THEN GREATEST(v.answered_at, v.marked_at) END AS closed_at,
    CASE WHEN v.first_at IS NULL THEN
      CASE WHEN v.marked_at IS NULL OR v.answered_at >= v.marked_at THEN 'call' ELSE 'person' END END AS closed_by,
    CASE WHEN v.first_at IS NULL AND v.marked_at IS NOT NULL AND (v.answered_at IS NULL OR v.answered_at < v.marked_at)
      THEN (SELECT m.note FROM callback_marks m WHERE m.site = v.site AND m.id = v.mark) END AS note
FROM callback_numbers v""",
    }
    return {
        name: f'CREATE OR REPLACE VIEW "{schema}"."{name}" AS{_qualified(sql, schema)}'
        for name, sql in tables.items()
    }


#: The tables in the views.
_TABLES = (
    "telecmi_contacts", "telecmi_user_contacts", "telecmi_agreed_numbers", "telecmi_voicemails", "telecmi_calls",
    "smartflo_contacts", "smartflo_calls", "callback_numbers", "callback_marks",
)  # fmt: skip


def _qualified(sql: str, schema: str) -> str:
    """The SQL with the schema in front of every table."""
    for name in _TABLES:
        for before in ("FROM", "JOIN"):
            sql = sql.replace(f"{before} {name} ", f'{before} "{schema}".{name} ')
    return sql
