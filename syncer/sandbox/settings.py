"""The settings of the sandbox: each question that the vendors' documentation leaves open, with the possible answers.

`telecmi`, `smartflo` and `world` follow them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from syncer.sandbox.state import CALL_KINDS


class SettingsError(ValueError):
    """A change of settings that was refused as a whole. `problems` has a sentence for each problem."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


def _choice(*values: str) -> Any:
    """One of these words; the first is the default."""
    return field(default=values[0], metadata={"choices": values})


def _subset(*values: str) -> Any:
    """Any set of these words, empty by default. A list in JSON."""
    return field(default_factory=frozenset, metadata={"subset": values})


def _number(default: float | None, *, optional: bool = False, least: float | None = 0) -> Any:
    """A number of at least `least`; None means "off" if it is optional."""
    return field(default=default, metadata={"number": True, "optional": optional, "least": least})


def _flag(default: bool) -> Any:
    return field(default=default, metadata={"flag": True})


def _name() -> Any:
    return field(default=None, metadata={"name": True})


def _off() -> Any:
    """A count from 1; None (the default) is "never"."""
    return _number(None, optional=True, least=1)


@dataclass(slots=True)
class TelecmiSettings:
    """How TeleCMI behaves where its documentation does not say."""

    # The envelope
    #: `code` is sent as text ("200").
    code_as_string: bool = _flag(False)
    #: An error code is also the HTTP status (else: HTTP 200).
    http_status_real: bool = _flag(False)
    #: The key of the text of an answer.
    message_key: str = _choice("msg", "message")
    #: What the text of an error is: a sentence, a list or an object of them, or left out.
    message_shape: str = _choice("text", "list", "object", "absent")
    #: Parameters and row fields that are not documented are refused with 400 (else: ignored).
    refuse_unknown: bool = _flag(True)
    #: Seconds that the `Date` header is ahead of the world's clock; None leaves the header out.
    date_header: float | None = _number(0.0, optional=True, least=None)
    #: Seconds that each call takes.
    delay_s: float = _number(0.0)
    #: Calls that an account may make in any second; None: no limit. Over it: HTTP 429.
    rate_limit_per_s: float | None = _off()
    #: `Retry-After` of such a 429, in seconds; None leaves the header out.
    retry_after_s: float | None = _number(None, optional=True)
    # Logins
    #: Seconds that a user token is valid.
    token_ttl_s: float = _number(30 * 86400.0)
    #: A login ends the user's earlier tokens.
    login_ends_old_tokens: bool = _flag(False)
    # Listings
    #: What `page_state` is on the last page of `/v3/contact/get`.
    cursor_end: str = _choice("absent", "null", "empty", "same")
    #: The last full page still has a cursor, to an empty page.
    cursor_then_empty: bool = _flag(False)
    #: Whether a cursor remembers the last row, or the number of rows (then rows can move between pages).
    cursor_kind: str = _choice("keyset", "offset")
    #: Seconds that a cursor is valid (after that: 400); None: always.
    cursor_ttl_s: float | None = _number(None, optional=True)
    #: The last page's cursor leads back to page two, endlessly.
    cursor_loop: bool = _flag(False)
    #: What `count` of both contact lists says.
    count_mode: str = _choice("exact", "off_by_one", "page", "zero", "absent", "string")
    #: What `count` of the voicemails says.
    voicemail_count_mode: str = _choice("exact", "off_by_one", "page", "zero", "absent", "string")
    #: The most rows of a page, whatever was requested.
    page_cap: float | None = _off()
    #: The page of this number has one row less than it could; the next page begins with that row.
    short_page: float | None = _off()
    #: The page of this number is sent twice in a row.
    repeat_page: float | None = _off()
    #: The order of contact rows. `shuffled` differs for each request, by `shuffle_seed`.
    order: str = _choice("insertion", "reverse", "shuffled")
    shuffle_seed: float = _number(1, least=None)
    #: What a numbered page past the end answers.
    past_end: str = _choice("empty", "repeat_last", "error400")
    #: `contact_id` of `/v3/contact/get`: `works` (unknown: an empty list), `ignored` (the whole
    #: list), `404` (unknown: code 404), `500` (always code 500).
    by_id: str = _choice("works", "ignored", "404", "500")
    # Writes
    #: What is applied of a batch with a bad row: nothing, those before it, all the others.
    batch_on_refusal: str = _choice("none", "prefix", "others")
    #: The refusal says which row (from 0) and which field.
    refusal_names_row: bool = _flag(False)
    #: Rows that lack required fields, or whose phone is not 10 to 15 digits, are refused.
    reject_last_name: bool = _flag(True)
    #: What an update or delete of an unknown contact_id answers.
    unknown_id: str = _choice("400", "404", "ignored")
    #: When two phone numbers are the same: by their last ten digits, character by character, or never.
    duplicate_rule: str = _choice("e164", "exact", "none")
    #: How values are respelled when they are stored.
    respell: frozenset[str] = _subset(
        "phone", "trim", "blanks", "case", "upper", "unicode", "accents", "punctuation"
    )
    #: What `""` and null do to an optional field.
    clear_mode: str = _choice("clears", "ignores", "empty_only", "null_only", "refuses")
    #: How a field without a value is shown.
    empty_shown: str = _choice("as_stored", "absent", "null", "empty")
    #: Seconds until a new contact is shown anywhere.
    visible_after_s: float = _number(0.0)
    #: The number of listings (not by id) that start before a new contact is shown.
    visible_after_lists: float = _number(0)
    #: Seconds for which an update is applied, but the old values are shown.
    read_lag_s: float = _number(0.0)
    #: Seconds for which a deleted contact is still shown.
    delete_lag_s: float = _number(0.0)
    #: The user's list (v2) and the directory (v3) are one store.
    shared_store: bool = _flag(False)
    # Rows
    #: A field of each contact row that has a new value on each read.
    volatile_field: str | None = _name()
    #: Undocumented fields that are added to each contact row.
    extra_fields: dict[str, Any] = field(default_factory=dict, metadata={"mapping": True})
    # Voicemail
    #: Milliseconds that `time` is ahead of the real time (IST written as UTC: 19800000).
    time_shift_ms: float = _number(0, least=None)
    #: Whether the window is compared with the shifted `time` or the real one.
    voicemail_filter_by: str = _choice("time", "received")
    #: Which ends of the window belong to it.
    voicemail_bounds: str = _choice("inclusive", "end_exclusive", "start_exclusive", "exclusive")
    voicemail_order: str = _choice("newest", "oldest", "shuffled")
    #: The widest window, in seconds; None: any.
    voicemail_widest_s: float | None = _number(None, optional=True)
    #: The answer to a wider one: 400, or only its newest part.
    voicemail_too_wide: str = _choice("error400", "clamped", "clamped_end")
    #: Seconds until the recording of a voicemail is published (before that: code 502); None: never.
    audio_after_s: float | None = _number(0.0, optional=True)
    #: How many requests for each recording are answered with code 502 first.
    audio_tries: float = _number(0)
    #: The format of the recording, whatever its name says. `id3` is an MP3 after an ID3 tag, `noise` is not audio.
    audio_kind: str = _choice("by_name", "mp3", "id3", "wav", "noise")
    #: The `Content-Type` of recordings; None: audio/mpeg.
    audio_type: str | None = _name()
    #: The size of every recording, in bytes; None: a few thousand, depending on the name.
    audio_bytes: float | None = _off()
    # Call records
    #: Whether `limit` is ignored (a page has 10 rows) or honoured, up to 20.
    calls_limit: str = _choice("ignored", "honoured")
    #: Types of the rows' values: mixed as documented, all text, or numbers and booleans where possible.
    calls_as: str = _choice("documented", "strings", "numbers")
    #: What `count` of the call records says.
    calls_count_mode: str = _choice("exact", "off_by_one", "page", "zero", "absent", "string")
    calls_order: str = _choice("newest", "oldest", "shuffled")
    #: Seconds from the start of a call until it is listed.
    calls_late_s: float = _number(0.0)
    #: An answered call is also in the list of missed ones, under the same id.
    calls_missed_too: bool = _flag(False)
    #: Lists that are empty.
    calls_empty: frozenset[str] = _subset(*CALL_KINDS)


@dataclass(slots=True)
class SmartfloSettings:
    """How Smartflo behaves where its documentation does not say."""

    #: Seconds that the `Date` header is ahead of the world's clock; None leaves the header out.
    date_header: float | None = _number(0.0, optional=True, least=None)
    #: Seconds that each call takes.
    delay_s: float = _number(0.0)
    #: Calls a second, all together; None: no limit. Over it: HTTP 429 with the text "false".
    rate_limit_per_s: float | None = _off()
    #: `Retry-After` of such a 429, in seconds; None leaves the header out.
    retry_after_s: float | None = _number(None, optional=True)
    #: Query parameters that are not documented are refused (else: ignored).
    refuse_unknown: bool = _flag(True)
    #: HTTP status of a request that cannot be understood.
    bad_request_as: str = _choice("http400", "http422", "ok_false")
    # Logins
    #: How an expired or unknown token is refused.
    expired_as: str = _choice("http401", "http403", "ok_false")
    #: How a login is refused.
    login_refused_as: str = _choice("http401", "http400", "http422", "ok_false")
    #: Seconds that the token of a login is valid.
    expires_in: float = _number(3600)
    #: `number_of_days_left` of the password; None leaves it out.
    days_left: float | None = _number(76, optional=True, least=None)
    #: Failed logins until the account is locked out; None: never.
    lockout_after: float | None = _number(5, optional=True, least=1)
    #: Seconds that a lockout lasts.
    lockout_s: float = _number(600.0)
    #: The answer has the end of the lockout in `retry_after` (IST).
    lockout_says_when: bool = _flag(True)
    #: The answer to a failed login has `login_failed_count`.
    login_failed_count: bool = _flag(True)
    #: A login ends the earlier tokens of logins.
    login_ends_old_tokens: bool = _flag(False)
    # Listings
    #: The zone of an `updated_after` without one.
    updated_after_zone: str = _choice("utc", "ist")
    updated_after_op: str = _choice("ge", "gt")
    #: Whether `updated_after` is applied.
    updated_after_honoured: bool = _flag(True)
    #: Whether an invalid `updated_after` is refused or ignored.
    bad_updated_after: str = _choice("refused", "ignored")
    #: Deleted contacts are listed, with `deleted_at`.
    list_deleted: bool = _flag(False)
    #: Rows a page when no `limit` is sent.
    default_limit: float = _number(20, least=1)
    #: The greatest `limit` of the contacts and of the call records.
    max_limit: float = _number(100, least=1)
    #: What a greater one does.
    over_limit: str = _choice("clamped", "refused")
    page_cap: float | None = _off()
    short_page: float | None = _off()
    repeat_page: float | None = _off()
    past_end: str = _choice("empty", "repeat_last", "error400")
    #: The order of rows. `shuffled` differs for each request, by `shuffle_seed`.
    order: str = _choice("insertion", "reverse", "updated", "shuffled")
    shuffle_seed: float = _number(1, least=None)
    # Rows
    #: `id` and `contact_group_id` are text.
    ids_as_strings: bool = _flag(False)
    #: The offset that contacts' stamps are written with.
    stamp_offset: str = _choice("+0000", "+0530")
    #: The offset that groups' stamps are written with.
    group_stamp_offset: str = _choice("+0530", "+0000")
    volatile_field: str | None = _name()
    extra_fields: dict[str, Any] = field(default_factory=dict, metadata={"mapping": True})
    # Call records
    #: Whether durations are numbers, or text.
    calls_as: str = _choice("numbers", "strings")
    #: What `count` of the call records says.
    calls_count_mode: str = _choice("exact", "off_by_one", "page", "zero", "absent", "string")
    #: Seconds from the start of a call until it is listed.
    calls_late_s: float = _number(0.0)


@dataclass(slots=True)
class Settings:
    """All settings, by vendor."""

    telecmi: TelecmiSettings = field(default_factory=TelecmiSettings)
    smartflo: SmartfloSettings = field(default_factory=SmartfloSettings)

    def change(self, wanted: Mapping[str, Any]) -> None:
        """Apply `{"telecmi": {...}, "smartflo": {...}}`, or dotted keys (`telecmi.order`), or nothing.

        Raises `SettingsError` with all unknown keys and invalid values. Then nothing is changed.
        """
        groups: dict[str, Any] = {"telecmi": self.telecmi, "smartflo": self.smartflo}
        flat: dict[str, Any] = {}
        problems: list[str] = []
        for key, value in wanted.items():
            if key in groups and isinstance(value, Mapping):
                flat.update({f"{key}.{name}": inner for name, inner in value.items()})
            else:
                flat[key] = value
        fit: list[tuple[Any, str, Any]] = []
        for key, value in flat.items():
            group, _, name = key.partition(".")
            known = {f.name: f for f in fields(groups[group])} if group in groups else {}
            if name not in known:
                problems.append(f"unknown setting: {key}")
                continue
            try:
                fit.append((groups[group], name, _fitted(value, known[name].metadata)))
            except ValueError as problem:
                problems.append(f"{key}: {problem}")
        if problems:
            raise SettingsError(problems)
        for target, name, value in fit:
            setattr(target, name, value)

    def as_json(self) -> dict[str, dict[str, Any]]:
        """Every setting with its value, for JSON."""
        return {
            group: {
                f.name: sorted(v) if isinstance(v := getattr(target, f.name), frozenset | set) else v
                for f in fields(target)
            }
            for group, target in (("telecmi", self.telecmi), ("smartflo", self.smartflo))
        }


def _fitted(value: Any, meta: Mapping[str, Any]) -> Any:
    if "choices" in meta:
        if value not in meta["choices"]:
            raise ValueError(f"must be one of {', '.join(meta['choices'])}")
        return value
    if "subset" in meta:
        words = [value] if isinstance(value, str) else value
        if not isinstance(words, list | tuple | set | frozenset) or not set(words) <= set(meta["subset"]):
            raise ValueError(f"must be a list of {', '.join(meta['subset'])}")
        return frozenset(words)
    if "number" in meta:
        if meta["optional"] and value in (None, "absent"):
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError("must be a number" + (" or null" if meta["optional"] else ""))
        if meta["least"] is not None and value < meta["least"]:
            raise ValueError(f"must be at least {meta['least']:g}")
        return value
    if "flag" in meta:
        if not isinstance(value, bool):
            raise ValueError("must be true or false")
        return value
    if "mapping" in meta:
        if not isinstance(value, Mapping):
            raise ValueError("must be an object")
        return dict(value)
    if value is not None and not isinstance(value, str):
        raise ValueError("must be a text or null")
    return value or None
