"""`/v2/play`: recordings that follow from their name, not yet there, broken, or larger than memory."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from syncer.sandbox import Dropped, World, running
from syncer.sandbox.sound import Sound
from tests.sandbox.conftest import NOW, SECRET, Upstream

NOW_MS = int(NOW * 1000)
MP3 = "1795253400_a.mp3"
WAV = "1795253400_b.wav"


@pytest.fixture(autouse=True)
def two_voicemails(up: Upstream) -> None:
    for name in (MP3, WAV):
        up.world.voicemail_insert(NOW_MS - 5000, 919200000000, name)


@pytest.mark.parametrize(
    ("kind", "size"), [("mp3", 5_000), ("id3", 500_000), ("wav", 200_000), ("noise", 3), ("wav", 1)]
)
def test_pieces_make_exactly_the_size_and_the_checksum(kind: str, size: int) -> None:
    sound = Sound(MP3, kind, size)
    whole = b"".join(sound.pieces())
    assert len(whole) == size and hashlib.sha256(whole).hexdigest() == sound.sha256()
    assert sound.sha256() != Sound(WAV, kind, size).sha256() or size < 10


@pytest.mark.parametrize(
    ("kind", "start"),
    [
        ("mp3", b"\xff\xfb"),
        ("id3", b"ID3\x04\x00\x00\x00\x00\x00\x00\xff\xfb"),
        ("wav", b"RIFF"),
        ("noise", bytes(4)),
    ],
)
@pytest.mark.parametrize("name", [MP3, WAV])
def test_container_and_type_may_differ_from_the_name(
    up: Upstream, name: str, kind: str, start: bytes
) -> None:
    up.telecmi(audio_kind=kind, audio_type="application/octet-stream")
    answer = up.play(name)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.content.startswith(start)


def test_a_wav_says_its_own_length_and_mp3_frames_follow_each_other(up: Upstream) -> None:
    wav, mp3 = up.play(WAV).content, up.play(MP3).content
    assert int.from_bytes(wav[4:8], "little") == len(wav) - 8
    assert int.from_bytes(wav[40:44], "little") == len(wav) - 44
    assert {mp3[at : at + 4] for at in range(0, len(mp3) - 4, 104)} == {b"\xff\xfb\x10\xc4"}


def test_a_recording_and_its_checksum_over_the_control_path(up: Upstream) -> None:
    for name in (MP3, WAV):
        answer = up.play(name)
        assert answer.headers["content-type"] == "audio/mpeg"
        assert answer.headers["content-length"] == str(len(answer.content))
        assert up.control("GET", f"recording?file={name}").json() == {
            "file": name,
            "kind": name[-3:],
            "bytes": len(answer.content),
            "sha256": hashlib.sha256(answer.content).hexdigest(),
        }
    assert up.play(MP3).content != up.play(WAV).content
    assert up.control("GET", "recording?file=none").status_code == 400


def test_not_published_for_some_tries_some_seconds_or_ever(up: Upstream) -> None:
    up.telecmi(audio_tries=2)
    assert [up.play(MP3).headers["content-type"] for _ in range(3)] == ["application/json"] * 2 + [
        "audio/mpeg"
    ]
    not_yet = up.play(WAV)  # each recording is counted by itself
    assert (not_yet.status_code, not_yet.json()["code"]) == (200, 502)
    up.telecmi(audio_tries=0, audio_after_s=60)
    assert up.play(MP3).json()["code"] == 502
    up.time += 55
    assert up.play(MP3).content.startswith(b"\xff\xfb")
    up.telecmi(audio_after_s=None)
    up.time += 10**9
    assert up.play(MP3).json()["code"] == 502


def test_refusals(up: Upstream) -> None:
    assert up.request("GET", "/v2/play", params=SECRET).json()["code"] == 404
    assert up.play(MP3, secret="wrong").json()["code"] == 407
    assert up.play(MP3, appid="x").json()["code"] == 407
    assert up.play("none.mp3").json()["code"] == 502


def test_faults_meet_one_recording(up: Upstream) -> None:
    up.world.faults.add({"kind": "code", "code": 502, "times": None, "match": {"contains": MP3}})
    assert up.play(MP3).json()["code"] == 502
    assert up.play(WAV).content.startswith(b"RIFF")


def test_broken_recordings(up: Upstream) -> None:
    whole = up.play(MP3).content
    up.world.faults.add(*({"kind": kind} for kind in ("empty_body", "html200", "half_json", "bad_token")))
    empty, html, half, refused = (up.play(MP3) for _ in range(4))
    assert (empty.content, empty.headers["content-type"]) == (b"", "audio/mpeg")
    assert html.status_code == 200 and html.headers["content-type"].startswith("text/html")
    assert (half.content, half.headers["content-type"]) == (whole[: len(whole) // 2], "audio/mpeg")
    assert refused.json()["code"] == 407
    up.world.faults.add({"kind": "half_body"})
    with pytest.raises(Dropped):
        up.play(MP3)


def test_range_is_ignored(up: Upstream) -> None:
    params = {**SECRET, "file": MP3}
    answer = up.request("GET", "/v2/play", params=params, headers={"Range": "bytes=100-"})
    assert answer.status_code == 200 and answer.content == up.play(MP3).content


# Over real HTTP


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[World, httpx.Client]]:
    world = World()
    world.voicemail_insert(None, 919200000000, MP3)
    with running(world) as base_url, httpx.Client(base_url=base_url, timeout=10) as client:
        yield world, client


def stream(client: httpx.Client, **more: Any) -> Any:
    return client.stream("GET", "/v2/play", params={**SECRET, "file": MP3}, **more)


def test_a_cut_recording_has_the_right_type_and_the_whole_length(served: tuple[World, httpx.Client]) -> None:
    world, client = served
    whole = Sound.of(MP3)
    world.faults.add({"kind": "half_body", "match": {"path": "/v2/play"}})
    got = bytearray()

    def read() -> None:
        with stream(client) as answer:
            assert answer.headers["content-type"] == "audio/mpeg"
            assert answer.headers["content-length"] == str(whole.size)
            for piece in answer.iter_raw():
                got.extend(piece)

    with pytest.raises(httpx.RemoteProtocolError):
        read()
    assert bytes(got) == b"".join(whole.pieces())[: whole.size // 2]


def test_a_slow_recording_arrives_whole_or_is_cut_in_the_end(served: tuple[World, httpx.Client]) -> None:
    world, client = served
    world.faults.add({"kind": "drip", "bytes": 500, "seconds": 0.005})
    with stream(client) as answer:
        assert hashlib.sha256(answer.read()).hexdigest() == Sound.of(MP3).sha256()
    world.faults.add({"kind": "drip", "bytes": 500, "seconds": 0.005, "at_most": 0.01})
    with pytest.raises(httpx.RemoteProtocolError), stream(client) as answer:
        answer.read()


def test_a_huge_recording_costs_no_memory(served: tuple[World, httpx.Client]) -> None:
    world, client = served
    size = 20_000_000
    world.settings.change({"telecmi.audio_bytes": size})
    tracemalloc.start()
    try:
        digest = hashlib.sha256()
        with stream(client) as answer:
            assert answer.headers["content-length"] == str(size)
            for piece in answer.iter_raw():
                digest.update(piece)
        assert digest.hexdigest() == Sound.of(MP3, size=size).sha256()
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
        world.settings.change({"telecmi.audio_bytes": None})
