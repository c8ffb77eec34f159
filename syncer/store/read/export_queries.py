"""The contacts that an export writes, one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from syncer.core.model import Fields
from syncer.core.normalise import split_name
from syncer.store.db.read_only import Reader, placeholders, raw


def telecmi(conn: Reader, accounts: Sequence[str]) -> Iterator[tuple[str, Fields]]:
    """Live contacts of TeleCMI with their accounts, by name."""
    query = (
        "SELECT account, COALESCE(NULLIF(phone_e164, ''), phone_no, ''), COALESCE(first_name, ''), COALESCE(last_name, ''), "
        "COALESCE(email_id, ''), COALESCE(company, ''), COALESCE(job_title, '') FROM telecmi_contacts "
        f"WHERE +account IN ({placeholders(accounts)}) AND deleted_at IS NULL ORDER BY lower(first_name), lower(last_name), id"
    )
    for account, *six in raw(conn).execute(query, tuple(accounts)):
        yield account, Fields(*six)


def smartflo(conn: Reader, accounts: Sequence[str]) -> Iterator[tuple[str, Fields]]:
    """The same for Smartflo. Its single name is split: the last word becomes the last name."""
    query = (
        "SELECT account, COALESCE(NULLIF(phone_e164, ''), phone_number, ''), name, COALESCE(email_id, ''), "
        "COALESCE(company_name, '') FROM smartflo_contacts "
        f"WHERE +account IN ({placeholders(accounts)}) AND deleted_at IS NULL ORDER BY lower(name), id"
    )
    for account, phone, name, email, company in raw(conn).execute(query, tuple(accounts)):
        yield account, Fields(phone, *split_name(name), email, company)
