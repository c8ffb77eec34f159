"""Normalises what vendors and people write: phone numbers, names, text, times.

These functions do not raise on odd input unless their docstring says so.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import NamedTuple

#: Longer texts are not phone numbers.
_LONGEST_PHONE = 64
#: No region has a shorter number, by the tables of phonenumbers. Shorter texts need not load those.
_SHORTEST_PHONE = 4
#: A country code in brackets: `(+91) 92000 00001`.
_LEADING = re.compile(r"^\(\+(\d{1,3})\)")
#: What may be between the digits of a readable number.
_PHONE = re.compile(r"\+?[\d\s().\-]+")
#: A label before or after a number: whose it is, or what kind.
_LABEL = re.compile(
    r"^\(?(?:{0})\b\)?[\s.:-]*|[\s-]*\(?\b(?:{0})\.?\)?$".format(
        "office|off|home|res|residence|mobile|mob|cell|work|direct|main|phone|ph|tel|telephone|whatsapp"
    ),
    re.IGNORECASE,
)
#: `ext 5`, `extn. 5`, `x5`, `;ext=5`, `#5` at the end of a number.
_EXTENSION = re.compile(
    r"[\s,;]*(?:\(?\bext(?:ension|n)?\b|(?<=\d)ext|x|#)[\s.:=#-]*\d{1,7}\)?$", re.IGNORECASE
)
#: What separates two numbers.
_SEVERAL = re.compile(r"[,;/|&\n]|\b(?:or|and)\b", re.IGNORECASE)
#: Letters in place of digits, which no word has: with digits around them, or at an end.
_LETTER_FOR_DIGIT = re.compile(r"\d[^\W\d_]+\d|^[^\W\d_]+\d{2,}$|\d[^\W\d_]+$")
#: Characters that hide a digit.
_MASK_SIGNS = frozenset("*#?_~•●∙·…×xX")
#: Blanks and marks that are left around a number that was copied from a chat or a spreadsheet.
_INVISIBLE = {
    **dict.fromkeys(map(ord, "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\ufeff"), ""),
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212"), "-"),
    0: "",
}

_PHONE_FIELDS = frozenset({"phone_no", "phone_number", "mobile"})
#: Accents, which NFD writes after their letter.
_ACCENTS = frozenset(map(chr, range(0x300, 0x370)))

_STAMP = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})"
    r"(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?"
    r"\s*(Z|z|UTC|[+-]\d{2}(?::?\d{2})?)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS = 86_400_000
#: 2005-01-01 and 2100-01-01, in epoch milliseconds: what a voicemail's time may be.
_EARLIEST_MS, _LATEST_MS = 1_104_537_600_000, 4_102_444_800_000


def to_e164(text: str | int | None, region: str) -> str | None:
    """The number as `+919200000001`, or None if it is masked, ambiguous, unreadable or not valid anywhere.

    A label such as `(office)` is ignored. Numbers with an extension, SIP addresses and texts with two numbers are not
    read (`phone_problem` says why).

    `region` (ISO 3166, "IN") is for numbers without a country code. A number that is invalid there is tried
    again with a `+` in front: TeleCMI's v3 calls write all numbers with the country code and no `+`.
    """
    if text is None or isinstance(text, bool) or (isinstance(text, int) and not 0 < text < 10**20):
        return None
    written = str(text)
    if not _SHORTEST_PHONE <= len(written) <= _LONGEST_PHONE:
        return None
    return _plain_mobile(written, region) or _to_e164(written, region)


def typed_e164(text: str, regions: Iterable[str]) -> str | None:
    """A number that a person typed, read in the first of these regions in which it is valid."""
    return next((found for region in regions if (found := to_e164(text, region))), None)


class _Mobiles(NamedTuple):
    """The form of a region's mobile numbers, from the tables of phonenumbers."""

    code: str  #: the country code
    mobile: re.Pattern[str]
    any: re.Pattern[str]  #: any national number
    prefix: re.Pattern[str] | None  #: a prefix that may be dialled in front of it


@lru_cache(maxsize=32)
def _mobiles(region: str) -> _Mobiles | None:
    import phonenumbers  # slow to load, and half of the commands do not need it

    meta = phonenumbers.PhoneMetadata.metadata_for_region(region)
    mobile = meta and meta.mobile and meta.mobile.national_number_pattern
    national = meta and meta.general_desc and meta.general_desc.national_number_pattern
    if not (meta and mobile and national):
        return None
    prefix = meta.national_prefix_for_parsing
    return _Mobiles(
        str(meta.country_code),
        re.compile(mobile),
        re.compile(national),
        re.compile(prefix) if prefix else None,
    )


def _plain_mobile(text: str, region: str) -> str | None:
    """A mobile number of the region in bare digits, with or without the country code, as most numbers are.

    A shortcut with the tables of phonenumbers, fifty times as fast. None: phonenumbers has to decide.
    """
    digits = text.removeprefix("+")
    if not (digits.isascii() and digits.isdecimal()) or (known := _mobiles(region)) is None:
        return None
    if digits.startswith(known.code) and not known.any.fullmatch(digits):
        digits = digits[len(known.code) :]
    elif digits is not text:
        return None  # a `+` and no country code of this region
    if digits.startswith("0") or not known.mobile.fullmatch(digits):
        return None
    if known.prefix is not None and known.prefix.match(digits):
        return None
    return f"+{known.code}{digits}"


@lru_cache(maxsize=1 << 12)
def _to_e164(text: str, region: str) -> str | None:
    import phonenumbers

    plain = _LABEL.sub(" ", _plain_phone(text)).strip()
    plain = _LEADING.sub(r"+\1 ", plain)
    # phonenumbers reads letters as keypad digits, so a masked number would become somebody's number.
    if not _PHONE.fullmatch(plain):
        return None
    digits = "".join(sign for sign in plain if sign.isdigit())
    spellings = [plain]
    if not plain.startswith("+"):
        spellings.append("+" + digits)
        if digits.startswith("0"):
            spellings.append("+" + digits.lstrip("0"))
    for spelling in spellings:
        try:
            number = phonenumbers.parse(spelling, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_possible_number(number) and phonenumbers.is_valid_number(number):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return None


def _plain_phone(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text).translate(_INVISIBLE).strip()
    return plain[4:].strip() if plain[:4].lower() == "tel:" else plain


def phone_problem(written: str, region: str) -> str:
    """Why a text cannot be sent as a phone number, and what to write instead, or ''.

    A number with an extension belongs to a switchboard that several people share. Only the number would be sent, so it
    is refused. `to_e164` ignores a label next to a number, but a person has to remove it before the number is sent.
    """
    plain = _plain_phone(written)
    if "@" in plain or plain.lower().startswith(("sip:", "sips:")):
        return "is a SIP address, which upstream does not take: write a phone number"
    main = _EXTENSION.sub("", plain)
    if main != plain and to_e164(main, region) is not None:
        return "has an extension, which upstream does not take: write the number alone"
    if sum(to_e164(part, region) is not None for part in _SEVERAL.split(plain)) > 1:
        return "holds more than one number: write one"
    if is_masked(written):
        return "is masked: write the full number"
    if sum(sign.isdigit() for sign in plain) >= 7 and any(sign.isalpha() for sign in plain):
        return "has words next to the number: write the number alone"
    if to_e164(written, region) is None:
        return f"cannot be read as a number in region {region}: write all of it, with its country code (such as +91...)"
    return ""


def is_masked(text: str | int | None) -> bool:
    """Whether digits of the number are hidden (`+91xxxxxx2999`, `98******01`, `92000NNN01`)."""
    if text is None or isinstance(text, int):
        return False
    plain = _plain_phone(text)
    letters = {sign for sign in plain if sign.isalpha() and sign not in "xX"}
    if any(sign in _MASK_SIGNS for sign in plain) and not letters:
        return True
    return bool(_LETTER_FOR_DIGIT.search(plain))


def phone_digits(e164: str) -> str:
    """The form in which a number is sent: digits with the country code, no `+`."""
    return e164.removeprefix("+")


def canonical_id(written: str) -> str:
    """A vendor's id in the one form in which it is stored, compared and sent back.

    `1`, `1.0`, `+1` and ` 1 ` are the same number. A UUID is the same in any case, in braces, or as a URN (RFC 9562).
    Other text is only trimmed. Leading zeros are kept: treating two ids as one would lose a row, while treating one as
    two only adds a row that is removed later.
    """
    text = written.strip(_AROUND)
    if number := _WHOLE_NUMBER.fullmatch(text):
        return number.group(1)
    if uuid := _UUID.fullmatch(text):
        return uuid.group(1).lower()
    return text


def written_like(canonical: str, sample: str) -> str:
    """A canonical UUID in the spelling of `sample`, since a vendor may compare ids character by character."""
    form = canonical_id(sample)
    if sample == form or not (_UUID.fullmatch(canonical) and _UUID.fullmatch(form)):
        return canonical
    text = canonical.upper() if form.upper() in sample else canonical
    return sample.strip(_AROUND).replace(form.upper(), text).replace(form, text)


#: Blanks and marks that are left at the ends of a copied text.
_AROUND = " \t\r\n\v\f\u00a0\u200b\u200e\u200f\u2060\ufeff\x00"
_WHOLE_NUMBER = re.compile(r"\+?(0|[1-9][0-9]*)(?:\.0+)?")
_UUID = re.compile(r"(?:urn:uuid:)?\{?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?", re.IGNORECASE)


def clean(text: str) -> str:
    """The text without NUL and lone surrogates, which SQLite and UTF-8 cannot store."""
    if "\x00" in text:
        text = text.replace("\x00", "")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def collapse(text: str) -> str:
    """The text in NFC, trimmed, each run of blanks as one space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def split_name(name: str | None) -> tuple[str, str]:
    """`(first_name, last_name)` of a full name: `last_name` is its last word."""
    first, _, last = collapse(name or "").rpartition(" ")
    return first, last


def same(a: object, b: object) -> bool:
    """Whether two values are equal, with NULL equal to ''."""
    return ("" if a is None else a) == ("" if b is None else b)


def spelled_alike(field: str, a: str | None, b: str | None, region: str) -> bool:
    """Whether two values of a contact's field are spellings of the same value.

    Phone numbers: the same E.164. Everything else, and numbers that cannot be read: equal except for
    case, kinds of blanks and composed characters.
    """
    if same(a, b):
        return True
    if field in _PHONE_FIELDS:
        one, other = to_e164(a, region), to_e164(b, region)
        if one is not None or other is not None:
            return one == other
    return _folded(a) == _folded(b)


def _folded(text: str | None) -> str:
    return unicodedata.normalize("NFC", collapse(text or "").casefold())


def says_the_same(field: str, sent: str | None, shown: str | None, region: str) -> bool:
    """Whether `shown` may be upstream's own spelling of the `sent` value.

    Only letters and digits are compared, without case and accents, so use it only for a value that was sent before.
    Phone numbers: the same E.164.
    """
    return spelled_alike(field, sent, shown, region) or (
        field not in _PHONE_FIELDS and _bare(sent) == _bare(shown)
    )


def _bare(text: str | None) -> str:
    """Letters, digits and the marks that belong to them: vowels of Devanagari, but not accents."""
    plain = unicodedata.normalize("NFKD", html.unescape(text or "").casefold())
    kept = (sign for sign in plain if unicodedata.category(sign)[0] in "LMN" and sign not in _ACCENTS)
    return "".join(kept)


def voicename_epoch_ms(voicename: str, time_ms: int | None) -> int | None:
    """When a voicemail was left, from the epoch at the start of its file name; in milliseconds.

    `157013743669294846865923_919100000000.mp3` starts with milliseconds, directly followed by other digits
    (the vendor's sample, doc.telecmi.com/chub/docs/voicemail). Seconds are read as well. None if there is no
    epoch, or it is outside 2005..2100, or more than a day from `time_ms`, the row's own time, if that is known.
    """
    found = re.match(r"[0-9]+", voicename)
    if not found:
        return None
    digits = found.group()
    # Without a time to compare with, a date (20231105123000) or a phone number must not be read as an epoch.
    if time_ms is None and len(digits) not in (10, 13) and len(digits) < 16:
        return None
    guesses = [int(digits[:13])] if len(digits) >= 13 else []
    if len(digits) >= 10:
        guesses.append(int(digits[:10]) * 1000)
    for guess in guesses:
        if _EARLIEST_MS <= guess < _LATEST_MS and (time_ms is None or abs(guess - time_ms) <= _DAY_MS):
            return guess
    return None


def plausible_ms(value: int | None) -> bool:
    """Whether a number can be the epoch milliseconds of something that happened (2005..2100)."""
    return value is not None and _EARLIEST_MS <= value < _LATEST_MS


def utc_text(moment: datetime | int) -> str:
    """`2026-11-21T09:30:00.000Z` from a datetime (naive ones are UTC) or from epoch milliseconds.

    Raises ValueError outside the years 1..9999.
    """
    try:
        if isinstance(moment, int):
            moment = _EPOCH + timedelta(milliseconds=moment)
        elif moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        else:
            moment = moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time outside the years 1 to 9999") from None
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z".rjust(24, "0")


def epoch_ms(number: float) -> int | None:
    """Epoch milliseconds from a number of milliseconds, seconds, micro- or nanoseconds.

    Only one of these readings can lie within 2005..2100. None if none does.
    """
    if not abs(number) < 10**20:  # also true for NaN
        return None
    readings = (round(number * per) for per in (1, 1000, 0.001, 0.000_001))
    return next((one for one in readings if plausible_ms(one)), None)


def parse_stamp(text: str | None) -> str | None:
    """A vendor's timestamp as UTC text, or None if it is not valid.

    The forms are Smartflo's `2024-05-08T12:45:03+0000`, with `+05:30` or `Z`, with a fraction of a second, with
    a blank instead of the `T`, and without a zone, which means UTC.
    """
    milliseconds = stamp_ms(text)
    try:
        return None if milliseconds is None else utc_text(milliseconds)
    except ValueError:  # its zone moves it out of the calendar
        return None


def stamp_ms(text: str | None, *, zoned: bool = False) -> int | None:
    """The same in epoch milliseconds. With `zoned`, a timestamp without a zone is not valid."""
    found = _STAMP.fullmatch(text.strip()) if text else None
    if not found:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    if zoned and zone is None:
        return None
    try:
        local = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0),
            int((fraction or "0").ljust(6, "0")[:6]), tzinfo=_zone(zone),
        )  # fmt: skip
        return (local - _EPOCH) // timedelta(milliseconds=1)
    except ValueError:
        return None


def _zone(text: str | None) -> timezone:
    if text is None or text.upper() in {"Z", "UTC"}:
        return UTC
    digits = text[1:].replace(":", "")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
    return timezone(-offset if text[0] == "-" else offset)
