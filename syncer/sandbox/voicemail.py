"""TeleCMI's voicemails and their recordings (pages `voicemail` and `play-record`).

`settings.TelecmiSettings` says what these do not; `telecmi` makes the error envelope.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.sandbox.answer import Answer, Refused
from syncer.sandbox.params import (
    PAGE,
    Params,
    by_secret,
    need,
    numbered_page,
    shuffle,
    whole,
    window,
    with_count,
)
from syncer.sandbox.sound import Sound
from syncer.sandbox.state import Voicemail

if TYPE_CHECKING:
    from syncer.sandbox.world import World


def voicemail(world: World, body: Params) -> Params:
    """`POST /v2/voicemail` (page `voicemail`): ten a page, by default of the last 24 h."""
    need(world, body, ("appid", "secret"), ("start_date", "end_date", "page"))
    org = by_secret(world, body, refused=401)
    settings = world.settings.telecmi
    now = int(world.now() * 1000)
    start, end = window(world, body)
    page = whole(body, "page", 1)
    if settings.voicemail_widest_s is not None and end - start > settings.voicemail_widest_s * 1000:
        if settings.voicemail_too_wide == "error400":
            raise Refused(400, "the dates are too far apart")
        widest = int(settings.voicemail_widest_s * 1000)
        start, end = (
            (start, start + widest) if settings.voicemail_too_wide == "clamped_end" else (end - widest, end)
        )

    shift = int(settings.time_shift_ms)

    def shown(v: Voicemail) -> int:
        return v.received_ms + (shift if v.shift_ms is None else v.shift_ms)

    first = start + (settings.voicemail_bounds in ("start_exclusive", "exclusive"))
    last = end - (settings.voicemail_bounds in ("end_exclusive", "exclusive"))
    by_time = settings.voicemail_filter_by == "time"
    rows = [
        v
        for v in org.voicemails
        if first <= (shown(v) if by_time else v.received_ms) <= last and v.visible_at * 1000 <= now
    ]
    rows.sort(key=lambda v: (shown(v), v.voicename), reverse=settings.voicemail_order != "oldest")
    if settings.voicemail_order == "shuffled":
        shuffle(world, rows)
    part = numbered_page(world, rows, page, PAGE)
    found = [
        {"time": shown(v) if v.sent is None else v.sent, "from": v.caller, "voicename": v.voicename}
        for v in part
    ]
    return with_count({"voicemail": found, "code": 200}, settings.voicemail_count_mode, len(rows), len(part))


def play(world: World, query: Params) -> Answer | Params:
    """`GET /v2/play` (page `play-record`): a recording, or an error inside HTTP 200."""
    if not all(query.get(name) for name in ("appid", "secret", "file")):
        raise Refused(404, "parameter missing")
    appid = query["appid"]
    org = by_secret(world, {**query, "appid": int(appid) if appid.isdecimal() else -1}, refused=407)
    settings = world.settings.telecmi
    found = next((v for v in org.voicemails if v.voicename == query["file"]), None)
    if found is not None:
        found.asked += 1
    if (
        found is None
        or settings.audio_after_s is None
        or found.asked <= settings.audio_tries
        or world.now() < max(found.visible_at, found.received_ms / 1000 + settings.audio_after_s)
    ):
        raise Refused(502, "file not found")
    return Answer(recording(world, found.voicename), media=settings.audio_type or "audio/mpeg")


def recording(world: World, voicename: str) -> Sound:
    """The recording of a name, by the settings."""
    settings = world.settings.telecmi
    return Sound.of(voicename, settings.audio_kind, settings.audio_bytes)
