"""How far each published copy lags behind the mirror."""

from __future__ import annotations

from syncer.store.db.read_only import Reader, Record, first, records

#: The time of the oldest change that is missing in the copy of a target `t`, or NULL.
_OLDEST = """CASE WHEN t.mark IS NULL THEN t.registered_at ELSE (SELECT min(o.at) FROM (
    SELECT (SELECT m.at FROM publish_marks m WHERE m.id > t.mark ORDER BY m.id LIMIT 1) AS at
    UNION ALL SELECT (SELECT l.at FROM change_log l WHERE l.seq > t.seq ORDER BY l.seq LIMIT 1)) o) END"""


def is_pending(conn: Reader, target: str) -> bool:
    """Whether anything changed after the position of a complete copy."""
    return bool(
        first(
            conn,
            "SELECT EXISTS (SELECT 1 FROM publish_marks m WHERE m.id > t.mark) "
            "OR EXISTS (SELECT 1 FROM change_log l WHERE l.seq > t.seq) FROM publish_targets t WHERE t.target = ?",
            target,
        )
    )


def overview(conn: Reader) -> dict[str, Record]:
    """Target -> `seq`, `lag_s` (0 if nothing is missing), `published_at`, `swept_at`, and the last run's `error`."""
    rows = records(
        conn,
        "SELECT t.target, t.seq, t.published_at, t.swept_at, "
        f"CAST(max(0, COALESCE((julianday('now') - julianday({_OLDEST})) * 86400, 0)) AS INTEGER) AS lag_s, "
        "(SELECT r.error FROM sync_runs r WHERE r.job = 'publish' AND r.account = t.target "
        "AND r.finished_at IS NOT NULL ORDER BY r.id DESC LIMIT 1) AS error "
        "FROM publish_targets t ORDER BY t.target",
    )
    return {row.pop("target"): row for row in rows}


def lags(conn: Reader) -> dict[str, float]:
    """Target -> the age of the oldest change missing in its copy, in seconds."""
    rows = records(
        conn,
        f"SELECT t.target, (julianday('now') - julianday({_OLDEST})) * 86400 AS lag FROM publish_targets t",
    )
    return {row["target"]: max(0.0, row["lag"] or 0.0) for row in rows}
