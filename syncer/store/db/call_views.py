"""The views `calls` (both vendors) and `callbacks` (who waits for a call back)."""

from __future__ import annotations

from syncer.store.db.call_sql import ANSWERED_SMARTFLO, INBOUND_SMARTFLO, caller


def calls_sql(*, names: bool = True) -> str:
    """The SELECT behind the view `calls`; without `names` for queries that only count and sort.

    A call that was missed and answered under one id is one call, the answered one.
    """
    name, company = (caller("name"), caller("company")) if names else ("NULL", "NULL")
    return f"""SELECT 'telecmi' AS provider, v.account AS account,
    CASE WHEN v.kind IN ('answered', 'missed') THEN 'in' ELSE 'out' END AS direction,
    CASE WHEN v.kind IN ('answered', 'out_answered') THEN 'answered' ELSE 'missed' END AS outcome,
    v.started_at AS started_at, v.duration AS duration_s, v.phone_e164 AS phone_e164, v.agent AS agent,
    {name} AS caller_name, {company} AS caller_company,
    0 AS voicemail, 'telecmi_calls' AS source_table, v.id AS source_id
FROM telecmi_calls v
WHERE v.deleted_at IS NULL AND NOT (v.kind IN ('missed', 'out_missed') AND EXISTS (
    SELECT 1 FROM telecmi_calls a WHERE a.account = v.account AND a.cmiuid = v.cmiuid
      AND a.kind = CASE v.kind WHEN 'missed' THEN 'answered' ELSE 'out_answered' END))
UNION ALL
SELECT 'smartflo', v.account,
    CASE WHEN {INBOUND_SMARTFLO.replace("s.", "v.")} THEN 'in' ELSE 'out' END,
    CASE WHEN {ANSWERED_SMARTFLO.replace("s.", "v.")} THEN 'answered' ELSE 'missed' END,
    v.started_at, v.call_duration, v.phone_e164, COALESCE(NULLIF(v.agent_name, ''), v.agent_number),
    {name}, {company},
    v.voicemail, 'smartflo_calls', v.id
FROM smartflo_calls v WHERE v.deleted_at IS NULL"""


def expected() -> dict[str, str]:
    """Each of these views: name -> SQL."""
    return {
        "calls": f"CREATE VIEW calls AS\n{calls_sql()}",
        "callbacks": f"""
CREATE VIEW callbacks AS
SELECT v.phone_e164 AS phone_e164,
    {caller("name", account=False)} AS caller_name,
    {caller("company", account=False)} AS caller_company,
    v.missed AS missed, v.voicemails AS voicemails, v.first_at AS first_at, v.last_at AS last_at,
    CASE WHEN v.first_at IS NULL THEN 'done' ELSE 'open' END AS state,
    CASE WHEN v.first_at IS NULL THEN max(COALESCE(v.answered_at, ''), COALESCE(v.marked_at, '')) END AS closed_at,
    CASE WHEN v.first_at IS NULL THEN
      CASE WHEN COALESCE(v.answered_at, '') >= COALESCE(v.marked_at, '') THEN 'call' ELSE 'person' END END AS closed_by,
    CASE WHEN v.first_at IS NULL AND COALESCE(v.answered_at, '') < v.marked_at THEN
      (SELECT m.note FROM callback_marks m WHERE m.id = v.mark) END AS note
FROM callback_numbers v""",
    }
