"""SQL that views and triggers share: who has a number, and how a call ended."""

from __future__ import annotations

#: A call that was missed and answered under one id counts as answered.
MISSED_TELECMI = """t.kind = 'missed' AND NOT EXISTS (
        SELECT 1 FROM telecmi_calls a WHERE a.account = t.account AND a.kind = 'answered' AND a.cmiuid = t.cmiuid)"""
ANSWERED_TELECMI = "t.kind IN ('answered', 'out_answered')"
ANSWERED_SMARTFLO = "lower(trim(s.status)) = 'answered'"
INBOUND_SMARTFLO = "lower(trim(s.direction)) = 'inbound'"

FULL_NAME = "trim(COALESCE({0}.first_name, '') || ' ' || COALESCE({0}.last_name, ''))"


def caller(column: str, *, account: bool = True) -> str:
    """The `column` (`name` or `company`) of who has the number of a row `v`, by the fixed order of sources.

    First the directory of the same account, then the user's own list, then other TeleCMI accounts,
    then Smartflo; within a source the oldest row that has one. What one source leaves empty, the next
    may have: a company can come from Smartflo where the name comes from the directory. Rows that belong to no
    account (`account` off) have no directory that comes first.
    """
    contact = FULL_NAME.format("c") if column == "name" else "c.company"
    flo = "s.name" if column == "name" else "s.company_name"

    def first(value: str, table: str, row: str, where: str = "") -> str:
        return f"""(SELECT {value} FROM {table} {row}
        WHERE {row}.phone_e164 = v.phone_e164 AND {row}.deleted_at IS NULL{where} AND {value} <> ''
        ORDER BY {row}.id LIMIT 1)"""

    sources = []
    for same in (" AND {}.account = v.account", " AND {}.account <> v.account") if account else ("",):
        sources.append(first(contact, "telecmi_contacts", "c", same.format("c")))
        if column == "name":
            sources.append(first("u.name", "telecmi_user_contacts", "u", same.format("u")))
    sources.append(first(flo, "smartflo_contacts", "s"))
    return "COALESCE(\n      " + ",\n      ".join(sources) + ")"
