"""Recordings: each is kept whole or not at all, whatever the vendor, the folder and the clock do."""

from __future__ import annotations

import hashlib
import shutil
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from syncer.errors import AuthError, FolderError, LowDiskError
from syncer.sandbox.sound import Sound
from syncer.store.write import forget
from syncer.sync.recordings import Recordings
from syncer.sync.run import Run
from tests.office import Office
from tests.sync.conftest import MakeOffice

CALLER = 919_200_000_003
JOBS = ("telecmi-voicemails", "telecmi-audio")


def leave(office: Office, name: str, *, minutes: float = 5, caller: int = CALLER) -> str:
    """Somebody left a voicemail some minutes ago."""
    at = office.clock.now() - timedelta(minutes=minutes)
    office.world.voicemail_insert(int(at.timestamp() * 1000), caller, name)
    return name


@pytest.fixture
def open_audio(make_office: MakeOffice) -> Any:
    """An office that keeps recordings; of the account's settings some may differ."""

    def make(**audio: Any) -> Office:
        return make_office(
            telecmi={"audio": {"enabled": True, **audio}, "voicemails": {"since": "400d", "window": "400d"}},
            only=JOBS,
        )

    return make


@pytest.fixture
def office(open_audio: Any) -> Office:
    return open_audio()


def folder(office: Office) -> Path:
    return office.settings.audio.path


def pull(office: Office, *, person: bool = False, full: bool = False) -> Run:
    """Both jobs once; the run of the recordings."""
    return office.run(person=person, full=full)[1]


def row(office: Office, name: str) -> dict[str, Any]:
    found = office._record(
        "SELECT a.* FROM voicemail_audio a JOIN telecmi_voicemails v ON v.id = a.voicemail WHERE v.voicename = ?",
        name,
    )
    assert found, name
    return found


def files_of(office: Office) -> list[str]:
    root = folder(office)
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def check(office: Office) -> None:
    """No row without its truth, and no file without its row."""
    kept = office.sql("SELECT path, bytes, sha256 FROM voicemail_audio WHERE state = 'kept'")
    for path, size, sha256 in kept:
        content = (folder(office) / path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (size, sha256)
    assert files_of(office) == sorted(path for path, *_ in kept)


def test_a_recording_is_kept_whole_and_for_its_owner_alone(office: Office) -> None:
    name = leave(office, "1795253400_a.mp3")
    run = pull(office)
    assert (run.outcome, run.seen, run.added, run.problem) == ("ok", 1, 1, "")
    kept = row(office, name)
    assert kept["state"] == "kept" and kept["sha256"] == Sound.of(name).sha256()
    assert kept["path"] == f"main/2026-11/1795253400_a-{kept['voicemail']}.mp3"
    assert (kept["media_type"], kept["fetched_at"], kept["attempts"]) == (
        "audio/mpeg",
        office.env().stamp(),
        1,
    )
    file = folder(office) / kept["path"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [stat.S_IMODE(one.stat().st_mode) for one in list(file.parents)[:3]] == [0o700] * 3
    check(office)
    assert office.sql(
        "SELECT kind, count(*) FROM change_log WHERE table_name = 'voicemail_audio' GROUP BY 1"
    ) == [("insert", 1)]
    # A further run finds nothing to do, and writes nothing.
    mark, log = office.mark(), office.log_size()
    assert pull(office).seen == 0
    assert "/v2/play" not in office.calls(mark) and office.log_size() == log


@pytest.mark.parametrize(
    ("settings", "name", "media", "extension"),
    [
        ({}, "1795253400_a.wav", "audio/wav", "wav"),
        ({"audio_kind": "wav"}, "1795253400_a.mp3", "audio/wav", "wav"),
        (
            {"audio_kind": "id3", "audio_type": "application/octet-stream"},
            "1795253400_a",
            "audio/mpeg",
            "mp3",
        ),
        ({"audio_type": "text/html"}, "../../../etc/cron.d/x.desktop", "audio/mpeg", "mp3"),
    ],
)
def test_the_first_bytes_say_what_it_is_and_the_name_leads_nowhere(
    office: Office, settings: dict[str, str], name: str, media: str, extension: str
) -> None:
    office.world.settings.change({f"telecmi.{key}": value for key, value in settings.items()})
    leave(office, name)
    assert pull(office).problem == ""
    kept = row(office, name)
    assert kept["media_type"] == media and kept["path"].endswith(f"-{kept['voicemail']}.{extension}")
    assert kept["path"].count("/") == 2 and ".." not in kept["path"]
    check(office)


@pytest.mark.parametrize("real_status", [False, True])
def test_not_published_yet_is_tried_by_the_schedule_and_is_no_failure(
    office: Office, real_status: bool
) -> None:
    office.world.settings.change({"telecmi.audio_tries": 4, "telecmi.http_status_real": real_status})
    name = leave(office, "a.mp3")
    office.run("telecmi-voicemails")
    for seconds in (30, 60, 300, 3600):
        run = office.run("telecmi-audio", person=False)[0]
        assert (run.outcome, run.seen, run.added, run.requests) == ("ok", 1, 0, 1), run.problem
        waits = row(office, name)
        assert (waits["state"], waits["last_error"]) == (
            "waiting",
            "the vendor has not published the recording (502)",
        )
        due = office.env().now() + timedelta(seconds=seconds)
        assert waits["next_attempt_at"] == due.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        office.clock.pass_(seconds=seconds - 1)
        assert office.run("telecmi-audio", person=False)[0].seen == 0
        office.clock.pass_(seconds=1)
    assert office.run("telecmi-audio", person=False)[0].added == 1
    assert row(office, name)["last_error"] is None
    check(office)


def test_what_is_never_published_is_gone_after_three_days_and_asked_for_again_by_a_person(
    office: Office,
) -> None:
    office.world.settings.change({"telecmi.audio_after_s": None})
    name = leave(office, "a.mp3")
    for n in range(10):
        run = pull(office)
        assert row(office, name)["state"] == ("waiting" if n < 8 else "gone")
        office.clock.pass_(hours=9)
    assert row(office, name)["attempts"] == 9
    mark = office.mark()
    assert pull(office, person=True).seen == 0 and "/v2/play" not in office.calls(mark)
    office.world.settings.change({"telecmi.audio_after_s": 0.0})
    assert pull(office, person=True, full=True).added == 1
    assert run.outcome == "ok"
    check(office)


def test_a_person_tries_everything_that_waits(office: Office) -> None:
    office.world.settings.change({"telecmi.audio_tries": 1})
    leave(office, "a.mp3")
    assert [pull(office, person=True).added for _ in range(2)] == [0, 1]


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"kind": "empty_body"}, "not a recording (empty, HTTP 200)"),
        ({"kind": "html200"}, "not a recording (HTML, HTTP 200)"),
        ({"kind": "junk"}, "not a recording (text, HTTP 200)"),
        ({"kind": "code_only"}, "not a recording (JSON)"),
        ({"kind": "code", "code": 500}, "the vendor failed (500)"),
        ({"kind": "code", "code": 404}, "404"),
        ({"kind": "http", "status": 503}, "the server failed (HTTP 503)"),
    ],
)
def test_what_is_no_recording_is_never_kept_and_tried_again(
    office: Office, fault: dict[str, Any], says: str
) -> None:
    bad, good = leave(office, "bad.mp3"), leave(office, "good.mp3", minutes=9)
    office.fault("/v2/play", fault.pop("kind"), times=4, match={"contains": "bad.mp3"}, **fault)
    run = pull(office)
    assert (run.outcome, run.added) == ("incomplete", 1) and says in run.problem
    waits = row(office, bad)
    assert (
        waits["state"] == "waiting" and says in waits["last_error"] and row(office, good)["state"] == "kept"
    )
    check(office)
    for _ in range(4):
        office.clock.pass_(hours=1)
        run = pull(office)
    assert row(office, bad)["state"] == "kept" and run.outcome == "ok"
    check(office)


def test_noise_is_no_recording_and_fails_after_three_days(office: Office) -> None:
    office.world.settings.change({"telecmi.audio_kind": "noise"})
    name = leave(office, "a.mp3")
    for _ in range(10):
        run = pull(office)
        office.clock.pass_(hours=9)
        if run.notices:
            assert "1 recording given up after three days" in run.notices[0]
    assert row(office, name)["state"] == "failed" and files_of(office) == []


def test_half_a_wav_with_the_length_of_the_half_is_told_by_its_own(office: Office) -> None:
    name = leave(office, "a.wav")
    office.fault("/v2/play", "half_json")
    assert "shorter than it says itself" in pull(office).problem
    assert row(office, name)["state"] == "waiting" and files_of(office) == []


def test_a_vendor_that_fails_is_left_alone_after_five_recordings(office: Office) -> None:
    for n in range(9):
        leave(office, f"{n}.mp3", minutes=n + 5)
    office.fault("/v2/play", "html200", times=None)
    run = pull(office)
    assert (run.outcome, run.seen) == ("incomplete", 5)
    # Those that failed wait, so that the others have their turn.
    office.world.faults.clear()
    run = office.run("telecmi-audio", person=False)[0]
    assert run.added == 4


@pytest.mark.parametrize("real_status", [False, True])
def test_refused_credentials_end_the_run_and_spend_no_try(office: Office, real_status: bool) -> None:
    office.world.settings.change({"telecmi.http_status_real": real_status})
    name = leave(office, "a.mp3")
    office.fault("/v2/play", "bad_token")
    run = pull(office)
    assert isinstance(run.error, AuthError) and run.outcome == "failed"
    assert (row(office, name)["attempts"], row(office, name)["state"]) == (0, "waiting")


def test_a_lost_or_damaged_file_is_fetched_again(office: Office) -> None:
    names = [leave(office, f"{n}.mp3", minutes=n + 5) for n in range(4)]
    pull(office)
    paths = [folder(office) / row(office, name)["path"] for name in names]
    paths[0].unlink()
    paths[1].write_bytes(b"cut")
    paths[2].unlink()
    paths[2].symlink_to(paths[3])
    assert pull(office).added == 3
    check(office)
    assert not paths[2].is_symlink()
    # A changed byte is seen by who asks for everything.
    paths[3].write_bytes(b"x" * paths[3].stat().st_size)
    assert pull(office).added == 0
    assert pull(office, full=True).added == 1
    check(office)


@pytest.mark.parametrize("days", [0, 4])
def test_a_folder_that_was_away_for_a_while_is_taken_over_when_it_is_back(office: Office, days: int) -> None:
    names = [leave(office, f"{n}.mp3", minutes=n + 5) for n in range(2)]
    pull(office)
    away = folder(office).rename(folder(office).with_name("unmounted"))
    office.world.settings.change({"telecmi.audio_after_s": None})  # the vendor has cleared them away
    for _ in range(2):
        pull(office, person=True)
        office.clock.pass_(days=days)
    assert {row(office, name)["state"] for name in names} == {"gone" if days else "waiting"}
    shutil.rmtree(folder(office), ignore_errors=True)
    away.rename(folder(office))
    mark, run = office.mark(), pull(office)
    assert "/v2/play" not in office.calls(mark) and run.outcome == "ok"
    assert {row(office, name)["state"] for name in names} == {"kept"}
    check(office)


def test_the_oldest_go_past_keep_and_are_not_fetched_again(open_audio: Any) -> None:
    office = open_audio(keep="10d")
    old, older = leave(office, "old.mp3", minutes=9 * 1440), leave(office, "older.mp3", minutes=11 * 1440)
    new = leave(office, "new.mp3")
    run = pull(office)
    assert (run.added, run.removed) == (2, 0)
    assert [row(office, name)["state"] for name in (new, old, older)] == ["kept", "kept", "expired"]
    office.clock.pass_(days=2)
    mark, run = office.mark(), pull(office)
    assert (run.added, run.removed) == (0, 1)
    assert (row(office, old)["state"], row(office, old)["path"]) == ("expired", None)
    check(office)
    pull(office, person=True, full=True)
    assert "/v2/play" not in office.calls(mark)


def test_a_clock_that_is_years_ahead_removes_nothing(open_audio: Any) -> None:
    office = open_audio(keep="10d")
    leave(office, "a.mp3")
    pull(office)
    office.world._clock = (lambda at: lambda: at)(office.clock.now().timestamp())
    office.clock.pass_(days=2000)
    assert pull(office).removed == 0 and len(files_of(office)) == 1


def test_past_max_size_the_oldest_go_and_none_is_fetched_in_vain(open_audio: Any) -> None:
    office = open_audio(max_size="10KB")
    office.world.settings.change({"telecmi.audio_bytes": 4000})
    names = [leave(office, f"{n}.mp3", minutes=n + 5) for n in range(5)]
    pull(office)
    assert [row(office, name)["state"] for name in names] == ["kept", "kept", "expired", "expired", "expired"]
    assert office.calls().count("/v2/play") == 3
    check(office)
    newest = leave(office, "newest.mp3", minutes=1)
    assert (pull(office).removed, row(office, names[1])["state"], row(office, newest)["state"]) == (
        1,
        "expired",
        "kept",
    )
    check(office)


def test_a_full_disk_ends_the_run_and_leaves_nothing(office: Office) -> None:
    leave(office, "a.mp3")
    office.run("telecmi-voicemails")
    office.disk = lambda _: (10**12, 10**6)
    run = office.run("telecmi-audio")[0]
    assert isinstance(run.error, LowDiskError) and "disk of the recordings" in run.problem
    assert files_of(office) == []


def test_a_recording_that_does_not_end_is_given_up_while_it_comes_in(open_audio: Any) -> None:
    office = open_audio(max_size="2MB")
    office.world.settings.change({"telecmi.audio_bytes": 5_000_000})
    name = leave(office, "a.mp3")
    assert "larger than 2 MB" in pull(office).problem
    assert row(office, name)["state"] == "waiting" and files_of(office) == []


def test_forget_takes_the_file_along(office: Office) -> None:
    name = leave(office, "a.mp3")
    other = leave(office, "b.mp3", caller=919_200_000_099)
    pull(office)
    path = folder(office) / row(office, name)["path"]
    removed: list[str] = []

    def remove(paths: Any) -> None:
        removed.extend(paths)
        Recordings(folder(office)).remove(removed)

    done = forget.forget(office.db, "+919200000003", office.env().stamp(), remove_files=remove)
    assert done.rows["voicemail_audio"] == 1 and not path.exists() and len(removed) == 1
    check(office)
    assert row(office, other)["state"] == "kept"
    assert office.one("SELECT count(*) FROM change_log WHERE table_name = 'voicemail_audio'") == 1


def test_forget_undoes_everything_where_a_file_cannot_be_removed(office: Office) -> None:
    leave(office, "a.mp3")
    pull(office)

    def refuse(_: Any) -> None:
        raise FolderError("the audio folder cannot be used")

    with pytest.raises(FolderError):
        forget.forget(office.db, "+919200000003", office.env().stamp(), remove_files=refuse)
    assert office.one("SELECT count(*) FROM telecmi_voicemails") == 1
    check(office)


@pytest.mark.parametrize("step", ["audio: fetched", "audio: intended"])
def test_who_is_forgotten_while_the_recording_comes_in_leaves_no_file(office: Office, step: str) -> None:
    leave(office, "a.mp3")
    office.run("telecmi-voicemails")
    at, remove = office.env().stamp(), Recordings(folder(office)).remove

    def forget_then(name: str) -> None:
        if name == step:
            forget.forget(office.db, "+919200000003", at, remove_files=remove)

    office.at_start = lambda env: setattr(env, "step", forget_then)
    run = office.run("telecmi-audio", person=False)[0]
    assert (run.outcome, run.seen, run.added) == ("ok", 1, 0)
    assert files_of(office) == [] and office.one("SELECT count(*) FROM voicemail_audio") == 0


def test_a_path_that_somebody_wrote_past_the_triggers_is_not_followed(office: Office) -> None:
    leave(office, "a.mp3")
    pull(office)
    victim = office.path.parent / "victim"
    victim.write_text("stays")
    office.own("UPDATE voicemail_audio SET path = '../victim', state = 'expired'")
    run = pull(office)
    assert isinstance(run.error, FolderError) and victim.read_text() == "stays"


def test_an_undated_voicemail_has_a_folder_of_its_own(office: Office) -> None:
    at = int(office.clock.now().timestamp() * 1000)
    office.world.voicemail_insert(at, CALLER, "undated.mp3", sent="soon")
    pull(office)
    assert row(office, "undated.mp3")["path"].startswith("main/undated/undated-")
    check(office)
