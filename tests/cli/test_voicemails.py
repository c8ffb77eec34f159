"""`voicemails list` and `status` over stamps that no vendor should send."""

from __future__ import annotations

import time

from tests.cli.conftest import Upstream


def test_a_voicemail_without_a_readable_time_is_listed_as_undated(upstream: Upstream) -> None:
    now = int(time.time() * 1000)
    seconds = upstream.world.voicemail_insert(
        now - 3_600_000, 919_200_000_001, "a.mp3", sent=now // 1000 - 3600
    )
    late = upstream.world.voicemail_insert(now - 60_000, 919_200_000_002, "b.mp3", sent=4_070_908_800_000)
    soon = upstream.world.voicemail_insert(now - 60_000, 919_200_000_003, "c.mp3", sent="soon")
    syncer = upstream.syncer
    syncer.ok("sync", "telecmi-voicemails")
    listed = syncer.ok("voicemails", "list", "--json", "--since", "2h").json
    assert {seconds, late, soon} <= {one["voicename"] for one in listed}
    dated = {one["voicename"]: one["received_at"] for one in listed}
    assert dated[seconds] is not None and dated[late] is None and dated[soon] is None
    assert [one["received_at"] for one in listed][-2:] == [None, None], "the undated come last"
    assert syncer.ok("voicemails", "list", "--since", "2h").out.count("undated") == 2
    assert late not in syncer.ok("voicemails", "list", "--limit", "1").out


def test_status_says_which_clock_is_right(upstream: Upstream) -> None:
    syncer = upstream.syncer
    assert syncer.ok("status", "--json").json["clocks"] == {"telecmi.main": "unknown"}
    now = int(time.time() * 1000)
    upstream.world.voicemail_insert(now - 60_000, 919_200_000_001, shift_ms=19_800_000)
    syncer.ok("sync", "telecmi-voicemails")
    assert syncer.ok("status", "--json").json["clocks"] == {"telecmi.main": "voicename"}
