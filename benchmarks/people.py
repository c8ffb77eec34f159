"""Invented people by number, always the same, as JSON text. They are cheap enough to make a million.

A *revision* changes one field (company, job title or email address in turn) of one contact in a thousand. Each revision
changes other contacts, and changes are kept. They are scattered over the list, which is the most expensive to write.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def _words(text: str) -> list[str]:
    return text.split()


_FIRST = _words(
    "Aarav Aditi Ananya Arjun Bhavna Chitra Deepa Devan Esha Farhan Gauri Harish Indira Ishaan Jaya Kabir "
    "Kavya Lakshmi Leela Manish Meera Mohan Naveen Neha Omkar Pooja Pranav Radha Rahul Riya Rohan Tara Zoya"
)
_LAST = _words(
    "Achar Bhatt Chandran Desai Dutta Gokhale Gupta Hegde Iyer Jain Joshi Kamath Kapoor Kulkarni Menon "
    "Mishra Naidu Nair Pai Patel Pillai Rao Reddy Saxena Sen Shah Sinha Verma Yadav"
)
_COMPANY = ("Invented Logistics", "Example Traders", "Sample Press", "Fictional Motors", "Specimen Foods", "")
_JOB = ("Sales", "Buyer", "Accounts", "Dispatch", "")

#: Each revision changes one contact in this many.
PER_REVISION = 1000
_STEP, _BACK = 397, 733  # 397 * 733 = 1 (mod 1000)

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def changed_in(number: int) -> int:
    """The revision (1 to 1000) in which this contact changes."""
    return (number % PER_REVISION) * _BACK % PER_REVISION or PER_REVISION


def changed_by(revision: int, people: int) -> range:
    """The contacts that this revision changes."""
    return range(revision * _STEP % PER_REVISION, people, PER_REVISION)


def contact_id(number: int) -> str:
    """The directory's id: not in order, like real ids, but `number_of` can read it."""
    mixed = f"{(number + 1) * 0x9E3779B97F4A7C15 % 2**64:016x}"
    return f"{mixed[:8]}-{mixed[8:12]}-4{mixed[12:15]}-8{mixed[13:16]}-{number:012x}"


def number_of(identity: str) -> int:
    """The contact with this id, or -1."""
    try:
        return int(identity[-12:], 16)
    except ValueError:
        return -1


def mobile(number: int) -> str:
    """Ten digits, not in order."""
    return f"92{number * 614_657 % 10_000_000:08d}"


def _touched(number: int, revision: int, field: int) -> int | None:
    """The revision that changed this field of a contact, if any."""
    changed = changed_in(number)
    return changed if changed <= revision and number // PER_REVISION % 3 == field else None


def _company(number: int, revision: int) -> str:
    changed = _touched(number, revision, 0)
    return f"Renamed Works {changed}" if changed else _COMPANY[number % len(_COMPANY)]


def _job(number: int, revision: int) -> str:
    changed = _touched(number, revision, 1)
    return f"Desk {changed}" if changed else _JOB[number % len(_JOB)]


def _email(number: int, revision: int) -> str:
    first, last = names(number)
    changed = _touched(number, revision, 2)
    if changed:
        return f"{first}.{changed}.{number}@example.org".lower()
    return f"{first}.{last}.{number}@example.com".lower() if number % 3 else ""


def names(number: int) -> tuple[str, str]:
    """First and last name. There are about 800 last names, as in a real directory."""
    one, other = _LAST[number // 7 % len(_LAST)], _LAST[number // 203 % len(_LAST)]
    return _FIRST[number % len(_FIRST)], f"{one}-{other}"


def fields(number: int, revision: int = 0) -> dict[str, str]:
    """The six fields of the directory."""
    first, last = names(number)
    return {
        "phone_no": f"91{mobile(number)}",
        "first_name": first,
        "last_name": last,
        "email_id": _email(number, revision),
        "company": _company(number, revision),
        "job_title": _job(number, revision),
    }


def directory_row(number: int, revision: int) -> str:
    """A contact of the organization's directory (TeleCMI v3)."""
    first, last = names(number)
    return (
        f'{{"contact_id":"{contact_id(number)}","phone_no":"91{mobile(number)}","first_name":"{first}",'
        f'"last_name":"{last}","email_id":"{_email(number, revision)}",'
        f'"company":"{_company(number, revision)}","job_title":"{_job(number, revision)}"}}'
    )


def user_row(number: int, revision: int) -> str:
    """A contact of a user list (TeleCMI v2)."""
    first, last = names(number)
    return (
        f'{{"agent":"101_1111113","inet_no":1111113,"name":"{first} {last}","mobile":{mobile(number)},'
        f'"email":"{_email(number, revision)}","info":"{_company(number, revision)}",'
        f'"tag":"{_job(number, revision)}","status":"active","time":{1_767_225_600_000 + number * 1000},"remindme":0}}'
    )


def stamp(number: int, revision: int) -> str:
    """Smartflo's `updated_at` of a contact."""
    changed = changed_in(number)
    when = _EPOCH + timedelta(seconds=number % 86_400)
    if changed <= revision:
        when = _EPOCH + timedelta(days=100 + changed)
    return when.strftime("%Y-%m-%dT%H:%M:%S+0000")


def smartflo_row(number: int, revision: int) -> str:
    """A contact of Smartflo."""
    first, last = names(number)
    return (
        f'{{"id":{number + 1},"contact_group_id":{1 + number % 3},"contact_group_name":"Group {1 + number % 3}",'
        f'"phone_number":"+91{mobile(number)}","name":"{first} {last}","email_id":"{_email(number, revision)}",'
        f'"address":"{_job(number, revision)}","company_name":"{_company(number, revision)}","custom_fields":[],'
        f'"created_at":"2026-01-01T00:00:00+0000","updated_at":"{stamp(number, revision)}","deleted_at":null}}'
    )


def voicemail_row(number: int, ms: int) -> str:
    """A voicemail record of TeleCMI."""
    return f'{{"time":{ms},"from":91{mobile(number)},"voicename":"{ms // 1000}.{number}_1111113_101.wav"}}'
