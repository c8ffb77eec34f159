"""Decides what may be quoted from a vendor's message: nothing that could be a person's name or number."""

from __future__ import annotations

import re

from syncer.remote.rows import text
from syncer.remote.wire import Json

#: A message is quoted only if it consists of these words: any other word could be a name.
_HARMLESS = frozenset(
    re.findall(
        r"\w+",
        """
    a again all already already_exists an and any api are argument array as at attempts authenticated
    authentication authorization authorized bad batch be been blocked body by cannot character characters
    code company contact contact_id contact_ids contacts could country created data denied digits does
    duplicate duplicated duplicates each email email_id empty entry error exceeded exist existing exists
    expired failed failure field fields first first_name for format found greater has have id ids in
    incorrect input internal invalid is it item items job_title json last last_name least length less
    limit list locked login long longer mandatory many max maximum message min minimum missing mobile more
    must name no not null number numbers object of on one only or organization organisation out page
    page_state parameter parameters params password phone phone_no phone_number please provided range
    record records required request requests same sent server session short should something string
    supported text than the this title to token too type unable unauthorized unknown unsupported update
    updated use used user valid validation value values was went were with within wrong you your
        """,
    )
)
_LONGEST = 120

#: How a message may name one of the six fields, the clearest first.
_NAMES = {
    "phone_no": r"phone_?\s?no\b|phone_?\s?number|\bmobile\b|\bphone\b",
    "first_name": r"first_?\s?name",
    "last_name": r"last_?\s?name",
    "email_id": r"e-?mail",
    "company": r"\bcompany\b",
    "job_title": r"job_?\s?title",
}


def safe_text(message: Json) -> str | None:
    """The vendor's message if it is short and all of its words are known to be harmless, else None."""
    written = text(message) if isinstance(message, str) else None
    if not written or len(written) > _LONGEST:
        return None
    words = re.findall(r"[^\W\d_](?:[\w'-]*\w)?|\d+", written.lower())
    plain = re.fullmatch(r"[\w\s.,:;!()'-]+", written)
    if not plain or any(len(word) > 3 if word.isdigit() else word not in _HARMLESS for word in words):
        return None
    return " ".join(written.split()).rstrip(".")


def named_field(message: Json) -> str | None:
    """Which of the six fields a message names first."""
    written = (text(message) or "").lower()
    found = {name: re.search(pattern, written) for name, pattern in _NAMES.items()}
    places = {name: hit.start() for name, hit in found.items() if hit}
    return min(places, key=places.__getitem__) if places else None


def with_vendor_text(ours: str, message: Json) -> str:
    """Our sentence, followed by the vendor's if that may be quoted."""
    theirs = safe_text(message)
    return f'{ours}: "{theirs}"' if theirs else ours
