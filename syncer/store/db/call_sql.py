"""SQL that views and triggers share: who has a number, and how a call ended."""

from __future__ import annotations

#: A call that was missed and answered under one id counts as answered.
MISSED_TELECMI = """t.kind = 'missed' AND NOT EXISTS (
        SELECT 1 FROM telecmi_calls a WHERE a.account = t.account AND a.kind = 'answered' AND a.cmiuid = t.cmiuid)"""
ANSWERED_TELECMI = "t.kind IN ('answered', 'out_answered')"
ANSWERED_SMARTFLO = "lower(trim(s.status)) = 'answered'"
INBOUND_SMARTFLO = "lower(trim(s.direction)) = 'inbound'"

FULL_NAME = "trim(COALESCE({0}.first_name, '') || ' ' || COALESCE({0}.last_name, ''))"


def caller(column: str, *, account: bool = True, site: bool = False) -> str:
    """The `column` (`name` or `company`) of the contact with the number of a row `v`, by a fixed order of sources.

    First the directory of the same account, then the user's own list, then other TeleCMI accounts, then
    Smartflo. Within a source, the oldest row with a value. A value that is missing in one source is taken from
    the next: the company can come from Smartflo and the name from the directory. Rows without an account
    (`account` off) start with all directories. `site` is for a published copy, whose tables hold several sites.
    """
    contact = FULL_NAME.format("c") if column == "name" else "c.company"
    flo = "s.name" if column == "name" else "s.company_name"

    def first(value: str, table: str, row: str, where: str = "") -> str:
        same_site = f"{row}.site = v.site AND " if site else ""
        return f"""(SELECT {value} FROM {table} {row}
        WHERE {same_site}{row}.phone_e164 = v.phone_e164 AND {row}.deleted_at IS NULL{where} AND {value} <> ''
        ORDER BY {row}.id LIMIT 1)"""

    sources = []
    for same in (" AND {}.account = v.account", " AND {}.account <> v.account") if account else ("",):
        sources.append(first(contact, "telecmi_contacts", "c", same.format("c")))
        if column == "name":
            sources.append(first("u.name", "telecmi_user_contacts", "u", same.format("u")))
    sources.append(first(flo, "smartflo_contacts", "s"))
    return "COALESCE(\n      " + ",\n      ".join(sources) + ")"
