"""Recordings: what they are, where they are kept, when they are tried again, which go."""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.core.audio import (
    AudioState,
    Expiry,
    Recording,
    Retry,
    after_try,
    all_stay,
    expired,
    folder_of,
    is_cut,
    is_ours,
    media_type,
    path_of,
)
from syncer.core.normalise import utc_text

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"ID3\x04\0\0\0\0\0\0\0\0\0\0\0\0", "audio/mpeg"),
        (b"\xff\xfb\x10\xc4" + bytes(12), "audio/mpeg"),
        (b"\xff\xf3\x40\xc4" + bytes(12), "audio/mpeg"),
        (b"\xff\xe3\x40\xc4" + bytes(12), "audio/mpeg"),
        (b"\xff\xf1\x50\x80" + bytes(12), "audio/aac"),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
        (b"OggS" + bytes(12), "audio/ogg"),
        (b"fLaC" + bytes(12), "audio/flac"),
        (b"#!AMR\n" + bytes(10), "audio/amr"),
        (b".snd" + bytes(12), "audio/basic"),
        (b"\0\0\0\x20ftypM4A ", "audio/mp4"),
        (b"\x1aE\xdf\xa3" + bytes(12), "audio/webm"),
        (b"RIFF\0\0\0\0AVI LIST", None),
        (b"\xff\xfe<\0h\0t\0m\0l\0>\0", None),  # a page in UTF-16
        (b"\xff\xe2\x00\xc4" + bytes(12), "audio/mpeg"),
        (b"\xff\xeb\x00\xc4" + bytes(12), None),  # a version that does not exist
        (b"\xff\xe9\x00\xc4" + bytes(12), None),  # a layer that does not exist
        (b"\xff\xfb\xf0\xc4" + bytes(12), None),  # a bit rate that does not exist
        (b"\xff\x1b\x10\xc4" + bytes(12), None),
        (b"<!doctype html>", None),
        (b'{"code":502}', None),
        (b"\xff\xfb", None),
        (b"", None),
    ],
)
def test_the_first_bytes_say_what_it_is(head: bytes, found: str | None) -> None:
    assert media_type(head) == found


@pytest.mark.parametrize(
    ("claimed", "size", "cut"),
    [
        (92, 100, False),
        (92, 99, True),
        (92, 101, False),
        (0, 100, False),
        (4294967295, 100, False),
        (2**31 - 2**16 - 8, 100, True),
        (2**31 - 2**16 - 7, 100, False),
    ],
)
def test_a_wav_says_how_long_it_is(claimed: int, size: int, cut: bool) -> None:
    assert is_cut(b"RIFF" + claimed.to_bytes(4, "little") + b"WAVEfmt ", size) is cut
    assert not is_cut(b"ID3\x04" + bytes(12), size)


def test_folders_and_names() -> None:
    assert folder_of("main", "2026-11-21T09:30:00.000Z") == "main/2026-11"
    assert folder_of("main", None) == folder_of("main", "soon") == "main/undated"
    assert path_of("main/2026-11", 12, "1795253400_a.mp3", "audio/wav") == "main/2026-11/1795253400_a-12.wav"
    assert path_of("main/undated", 1, "../../etc/passwd", "audio/mpeg") == "main/undated/etc_passwd-1.mp3"
    assert path_of("main/undated", 1, "..", "audio/mpeg") == "main/undated/recording-1.mp3"
    assert path_of("main/undated", 1, "x" * 999, "audio/aac") == f"main/undated/{'x' * 80}-1.aac"


@given(st.text(string.printable) | st.text(), st.integers(1, 2**62))
def test_no_name_leads_anywhere_and_none_is_another_rows(name: str, row: int) -> None:
    path = path_of("a.b/2026-11", row, name, "audio/mpeg")
    assert is_ours(path) and path.endswith(f"-{row}.mp3") and len(path) < 140
    assert path.split("/")[:2] == ["a.b", "2026-11"] and not path.split("/")[2].startswith(".")


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "main/2026-11/../x",
        "/main/2026-11/x",
        "main/2026-11/.part-1",
        "main/x/y",
        "main/2026-11/a/b",
        "",
        "..//2026-11/x",
        "main/2026-11/x\n",
        "../2026-11/x",
    ],
)
def test_a_path_that_leads_elsewhere_is_not_ours(path: str) -> None:
    assert not is_ours(path)


def test_tries_come_at_growing_distances_for_three_days() -> None:
    first = utc_text(NOW)
    waits = []
    for attempts, later in ((1, None), (2, 30), (3, 90), (4, 390), (5, 3990), (70, 3 * 86400 - 1)):
        now = NOW + timedelta(seconds=later or 0)
        retry = after_try(attempts, None if later is None else first, now, published=False)
        assert (retry.state, retry.first_tried_at) == (AudioState.WAITING, first)
        assert retry.next_attempt_at is not None
        waits.append(datetime.fromisoformat(retry.next_attempt_at) - now)
    assert [wait.total_seconds() for wait in waits] == [30, 60, 300, 3600, 3600, 3600]
    for published, state in ((False, AudioState.GONE), (True, AudioState.FAILED)):
        assert after_try(71, first, NOW + 3 * DAY, published=published) == Retry(state, first, None)


def test_a_first_try_in_the_future_counts_from_now() -> None:
    retry = after_try(9, utc_text(NOW + 400 * DAY), NOW, published=False)
    assert (retry.state, retry.first_tried_at) == (AudioState.WAITING, utc_text(NOW))


def recordings(*sizes: int) -> list[Recording]:
    return [Recording(n, utc_text(NOW - n * DAY), size) for n, size in enumerate(sizes)]


def test_age_counts_from_when_it_came_in() -> None:
    assert expired(recordings(1, 1, 1, 1), NOW, 2 * DAY, 100) == Expiry([2, 3], 2)
    assert expired(recordings(1, 1, 1, 1), None, 2 * DAY, 100) == Expiry([], 4)


@pytest.mark.parametrize("sizes", [(), (40, 40), (40, 60), (101, 1), (1, 1, 1, 1)])
@pytest.mark.parametrize("now", [NOW, None])
def test_all_stay_only_where_none_expires(sizes: tuple[int, ...], now: datetime | None) -> None:
    found = recordings(*sizes)
    for keep in (2 * DAY, 9 * DAY):
        oldest = min((one.received_at for one in found), default=None)
        if all_stay(oldest, sum(sizes), now, keep, 100):
            assert expired(found, now, keep, 100) == Expiry([], sum(sizes))
        else:
            assert sum(sizes) >= 100 or expired(found, now, keep, 100).gone


@pytest.mark.parametrize(
    ("sizes", "gone"),
    [
        ((40, 60), []),
        ((40, 61), [1]),
        ((40, 61, 5), [1, 2]),  # what fits behind one that does not goes, too
        ((40, 60, 0), [2]),  # one that waits, with no room for it
        ((40, 59, 0, 0), []),
        ((101, 1), [0, 1]),
        ((), []),
    ],
)
def test_the_newest_that_fit_stay(sizes: tuple[int, ...], gone: list[int]) -> None:
    kept = sum(size for n, size in enumerate(sizes) if n not in gone)
    assert expired(recordings(*sizes), NOW, 365 * DAY, 100) == Expiry(gone, kept)
