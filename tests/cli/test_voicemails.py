"""`voicemails` and `status` over stamps that no vendor should send, and recordings."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

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


# -- recordings ----------------------------------------------------------------------------------------


@pytest.fixture
def heard(upstream: Upstream) -> Upstream:
    """An account that keeps recordings, with all of them fetched."""
    upstream.syncer.write_config('since = "3d" }', 'since = "3d" }\naudio = { enabled = true }')
    upstream.world.voicemail_insert(int(time.time() * 1000) - 60_000, 919_200_000_078, "y.wav")
    done = upstream.syncer.ok("sync", "telecmi-voicemails", "telecmi-audio")
    assert "telecmi-audio" in done.out
    return upstream


def player(folder: Path, code: int = 0) -> dict[str, str]:
    """A desktop whose player writes down what it is given."""
    script = folder / "bin" / "xdg-open"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\necho "$@" > {folder}/played\nexit {code}\n')
    script.chmod(0o755)
    return {"DISPLAY": ":0", "PATH": f"{script.parent}:/usr/bin:/bin"}


def test_recordings_are_listed_played_and_saved(
    heard: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncer = heard.syncer
    listed = syncer.ok("voicemails", "list", "--json").json
    assert {one["audio"] for one in listed} == {"kept"}
    first, second = listed[0]["id"], listed[1]["id"]
    table = syncer.ok("voicemails", "list").out
    assert "audio" in table.splitlines()[0] and table.count("kept") == len(listed)

    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    path = Path(syncer.ok("voicemails", "play", str(first)).out.strip())
    assert path.read_bytes()[:2] == b"\xff\xfb" or path.read_bytes()[:4] == b"RIFF"
    for name, value in player(tmp_path).items():
        monkeypatch.setenv(name, value)
    assert syncer.ok("voicemails", "play", str(first)).out == ""
    assert (tmp_path / "played").read_text().strip() == str(path)

    to = tmp_path / "to"
    to.mkdir()
    saved = syncer.ok("voicemails", "save", str(first), str(second), "--to", str(to)).out.split()
    assert Path(saved[0]).read_bytes() == path.read_bytes() and len(list(to.iterdir())) == 2
    again = syncer("voicemails", "save", str(first), "--to", str(to))
    assert again.code == 1 and "exists already" in again.err
    assert Path(saved[0]).read_bytes() == path.read_bytes()


def test_what_is_not_here_is_not_played(heard: Upstream, tmp_path: Path) -> None:
    syncer = heard.syncer
    first = syncer.ok("voicemails", "list", "--json").json[0]["id"]
    file = Path(syncer.ok("voicemails", "play", str(first)).out.strip())

    def refused(*args: str) -> str:
        done = syncer("voicemails", *args)
        assert (done.code, done.out) == (1, "") and "Traceback" not in done.err
        return done.err

    assert "there is no voicemail 999" in refused("play", "999")
    assert "there is no folder" in refused("save", str(first), "--to", str(tmp_path / "nowhere"))
    assert syncer("voicemails", "play", "soon").code == syncer("voicemails", "save").code == 2
    content = file.read_bytes()
    file.write_bytes(bytes(len(content)))
    assert "is damaged" in refused("save", str(first), "--to", str(tmp_path))
    assert not (tmp_path / file.name).exists()
    file.unlink()
    assert "the next run of telecmi-audio fetches it again" in refused("play", str(first))
    assert "missing or damaged" in syncer("doctor").out
    for state, says in (
        ("waiting", "it is to be fetched"),
        ("gone", "did not publish it"),
        ("failed", "did not come whole"),
        ("expired", "audio.keep"),
    ):
        syncer.as_program(f"UPDATE voicemail_audio SET state = '{state}'")
        assert says in refused("play", str(first))
    syncer.as_program("DELETE FROM voicemail_audio")
    assert "`syncer sync telecmi-audio` does that, if" in refused("play", str(first))


def test_forget_removes_the_file(heard: Upstream) -> None:
    syncer = heard.syncer
    heard.world.voicemail_insert(int(time.time() * 1000) - 60_000, 919_200_000_077, "z.mp3")
    syncer.ok("sync", "telecmi-voicemails", "telecmi-audio")
    before = len(list((syncer.folder / "audio").rglob("*.*")))
    out = syncer.ok("forget", "+919200000077", "--yes").out
    assert "voicemail_audio: 1 row removed" in out
    assert len(list((syncer.folder / "audio").rglob("*.*"))) == before - 1


def test_a_folder_that_cannot_be_used_is_a_sentence_and_exit_78(heard: Upstream) -> None:
    syncer = heard.syncer
    (syncer.folder / "file").write_text("")
    for path, says, code in (("file", "it is a file", 1), ("/proc/audio", "cannot be written", None)):
        syncer.write_config(
            'since = "3d" }', f'since = "3d" }}\naudio = {{ enabled = true }}\n[audio]\npath = "{path}"'
        )
        for done in (syncer("sync"), syncer.process("run")):
            assert done.code == 78, (done.out, done.err)
            assert "audio.path" in done.err and says in done.err and "Traceback" not in done.err
        assert code is None or syncer("doctor").code == code  # root's rights promise a folder in /proc


def test_without_a_word_in_the_config_nothing_is_fetched_and_doctor_is_silent(upstream: Upstream) -> None:
    syncer = upstream.syncer
    syncer.ok("sync")
    assert "/v2/play" not in [request.path for request in upstream.world.requests()]
    assert syncer.one("SELECT count(*) FROM voicemail_audio") == 0
    assert "audio" not in syncer.ok("doctor").out and not (syncer.folder / "audio").exists()
    assert {one["audio"] for one in syncer.ok("voicemails", "list", "--json").json} == {None}


def test_a_dry_run_says_how_many_and_fetches_none(upstream: Upstream) -> None:
    syncer = upstream.syncer
    syncer.write_config('since = "3d" }', 'since = "3d" }\naudio = { enabled = true }')
    assert "would fetch 1 recording\n" in syncer.ok("sync", "--dry-run").out
    assert not (syncer.folder / "audio").exists()
