"""Recordings: whole, in parts, and nothing but recordings."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncer.core.console import Role
from tests.console.conftest import MakeDesk

pytestmark = pytest.mark.anyio

SOUND = bytes(range(256)) * 1000


async def test_a_recording_is_played_whole_and_in_parts(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        row = desk.voicemail(audio=SOUND)
        client = await desk.log_in(Role.LOOK)
        path = f"/voicemails/{row}/audio"
        assert f'src="{path}"' in (await client.get("/voicemails")).text
        whole = await client.get(path)
        assert (whole.status_code, whole.content) == (200, SOUND)
        assert whole.headers["content-type"] == "audio/wav" and whole.headers["accept-ranges"] == "bytes"
        assert whole.headers["cache-control"] == "no-store"
        for asked, status, content in [
            ("bytes=0-0", 206, SOUND[:1]),
            ("bytes=100-", 206, SOUND[100:]),
            ("bytes=-5", 206, SOUND[-5:]),
            ("bytes=70000-200000", 206, SOUND[70_000:200_001]),
            ("bytes=0-1,3-4", 200, SOUND),
            ("bytes=" + "0-1," * 500, 200, SOUND),
            ("bytes=999999-", 416, b""),
        ]:
            answer = await client.get(path, headers={"Range": asked})
            assert (answer.status_code, answer.content) == (status, content), asked
            if status == 206:
                assert int(answer.headers["content-length"]) == len(content)
        assert (await client.get(path, headers={"Range": "bytes=5-9"})).headers[
            "content-range"
        ] == "bytes 5-9/256000"
        other = {"Range": "bytes=5-9", "If-Range": '"another"'}
        assert (await client.get(path, headers=other)).status_code == 200
        head = await client.head(path)
        assert (head.content, head.headers["content-length"]) == (b"", "256000")


async def test_only_who_is_logged_in_hears_anything(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        row = desk.voicemail(audio=SOUND)
        assert (await desk.client.get(f"/voicemails/{row}/audio")).status_code == 401
        silent = desk.voicemail(2)
        client = await desk.log_in(Role.LOOK)
        for odd in (silent, 99, 0, -1, "1.0", "٣", 2**64, "../1", "%2e%2e%2f1"):
            assert (await client.get(f"/voicemails/{odd}/audio")).status_code == 404, odd


@pytest.mark.parametrize(
    "path", ["../syncer.db", "/etc/passwd", "main/../../syncer.db", "main/2026-11/../../../syncer.db", ""]
)
async def test_a_path_in_the_table_leads_nowhere_else(make_desk: MakeDesk, path: str) -> None:
    async with make_desk() as desk:
        row = desk.voicemail(audio=SOUND)
        desk.program(f"UPDATE voicemail_audio SET path = '{path}', media_type = 'text/html'")
        answer = await (await desk.log_in()).get(f"/voicemails/{row}/audio")
        assert answer.status_code == 404 and b"SQLite" not in answer.content


async def test_a_link_or_a_lost_file_is_not_served(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        row = desk.voicemail(audio=SOUND)
        client = await desk.log_in()
        (place,) = desk.settings.audio.path.rglob("*.wav")
        desk.program("UPDATE voicemail_audio SET media_type = 'text/html'")
        odd = await client.get(f"/voicemails/{row}/audio")
        assert odd.headers["content-type"] == "application/octet-stream"
        place.unlink()
        assert (await client.get(f"/voicemails/{row}/audio")).status_code == 404
        place.symlink_to(desk.path)
        assert (await client.get(f"/voicemails/{row}/audio")).status_code == 404
        place.unlink()
        place.write_bytes(b"")
        empty = await client.get(f"/voicemails/{row}/audio")
        assert (empty.status_code, empty.content) == (200, b"")
        opened = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(5):
            await client.get(f"/voicemails/{row}/audio", headers={"Range": "bytes=0-"})
        assert len(list(Path("/proc/self/fd").iterdir())) == opened
