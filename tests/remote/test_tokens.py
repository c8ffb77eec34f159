"""The token file: private, shared, bound to its credentials, and never in the way."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from syncer.remote.tokens import LONGEST_LIFE, Lockout, Token, TokenStore
from tests.remote.fakes import NOW, Clock

WHO = ("https://vendor.example", "ops", "pa55word")
TOKEN = Token("t0ken-value", NOW + timedelta(hours=1), 12)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def test_a_token_outlives_the_process_and_only_its_owner_may_read_it(path: Path) -> None:
    old = os.umask(0)
    try:
        TokenStore(path).put("a", TOKEN, *WHO)
    finally:
        os.umask(old)
    assert TokenStore(path).get("a", *WHO) == TOKEN
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}
    assert "pa55word" not in path.read_text() and "ops" not in path.read_text()


def test_nothing_shows_the_token(path: Path) -> None:
    store = TokenStore(path)
    store.put("a", TOKEN, *WHO)
    assert "t0ken" not in repr(store) + repr(TOKEN) + str(TOKEN)


def test_changed_credentials_drop_the_token(path: Path) -> None:
    store = TokenStore(path)
    store.put("a", TOKEN, *WHO)
    assert store.get("a", *WHO[:2], "another") is None
    assert store.get("b", *WHO) is None


def test_two_processes_see_each_others_tokens(path: Path) -> None:
    one, other = TokenStore(path), TokenStore(path)
    one.put("a", TOKEN, *WHO)
    assert other.get("a", *WHO) == TOKEN
    other.put("b", TOKEN, *WHO)
    one.put("c", TOKEN, *WHO)
    for store in (one, other, TokenStore(path)):
        assert [store.get(name, *WHO) for name in "abc"] == [TOKEN] * 3


def test_a_refused_token_is_forgotten_unless_another_took_its_place(path: Path) -> None:
    one, other = TokenStore(path), TokenStore(path)
    one.put("a", TOKEN, *WHO)
    newer = Token("newer", None)
    other.put("a", newer, *WHO)
    one.clear("a", refused=TOKEN.text)
    assert one.get("a", *WHO) == newer
    one.clear("a", refused="newer")
    assert other.get("a", *WHO) is None


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"version":99}', b'{"version":1,"salt":1,"accounts":[]}',
        b"[" * 100_000, b'{"version":1,"salt":"x","accounts":{"a":[]}}',
        b'{"version":1,"salt":"x","accounts":{"a":{"bound":1,"token":2,"expires_at":3,"locked_until":"x"}}}',
    ],
)  # fmt: skip
def test_a_damaged_file_is_ignored_and_replaced(path: Path, content: bytes) -> None:
    path.touch(0o600)
    path.write_bytes(content)
    store = TokenStore(path)
    assert store.get("a", *WHO) is None and store.lockout("a", WHO) is None
    store.put("a", TOKEN, *WHO)
    assert TokenStore(path).get("a", *WHO) == TOKEN


def test_a_file_that_others_may_read_is_ignored_and_replaced(path: Path) -> None:
    TokenStore(path).put("a", TOKEN, *WHO)
    path.chmod(0o640)
    store = TokenStore(path)
    assert store.get("a", *WHO) is None
    store.put("a", TOKEN, *WHO)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert TokenStore(path).get("a", *WHO) == TOKEN


def test_a_file_that_was_deleted_is_gone(path: Path) -> None:
    store = TokenStore(path)
    store.put("a", TOKEN, *WHO)
    path.unlink()
    assert store.get("a", *WHO) is None


def test_a_folder_that_cannot_be_written_to_costs_only_the_keeping(tmp_path: Path) -> None:
    said: list[str] = []
    store = TokenStore(tmp_path / "missing" / "tokens.json", said.append)
    store.put("a", TOKEN, *WHO)
    assert store.get("a", *WHO) == TOKEN
    assert said and all("cannot be written" in one for one in said)


def test_in_memory() -> None:
    said: list[str] = []
    store = TokenStore(None, said.append)
    store.put("a", TOKEN, *WHO)
    assert store.get("a", *WHO) == TOKEN and not said


def test_a_lockout_applies_to_its_binding_only(path: Path) -> None:
    lockout = Lockout(NOW + timedelta(minutes=5), 3)
    TokenStore(path).put("a", TOKEN, *WHO)
    TokenStore(path).lock("a", lockout, WHO[:2])
    store = TokenStore(path)
    assert store.get("a", *WHO) == TOKEN
    assert store.lockout("a", WHO[:2]) == lockout
    assert store.lockout("a", WHO) is None
    store.clear("a", refused=TOKEN.text)
    assert TokenStore(path).lockout("a", WHO[:2]) == lockout
    store.put("a", TOKEN, *WHO)
    assert store.lockout("a", WHO[:2]) is None


def test_when_a_token_may_be_used() -> None:
    assert TOKEN.usable(NOW, 120) and not TOKEN.usable(NOW + timedelta(minutes=58), 120)
    assert Token("x", None).usable(NOW, 120)


@pytest.mark.parametrize("ahead", [timedelta(days=60), timedelta(days=3650)])
def test_a_token_that_would_live_too_long_is_not_used(ahead: timedelta) -> None:
    assert Token("x", NOW + LONGEST_LIFE).usable(NOW, 120)
    assert not Token("x", NOW + LONGEST_LIFE + ahead).usable(NOW, 120)


@pytest.mark.anyio
async def test_logins_of_two_processes_take_turns(path: Path) -> None:
    clock, order = Clock(), []

    async def login(store: TokenStore, name: str) -> None:
        async with store.turn("a", clock.sleep):
            order.append(name + " in")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            order.append(name + " out")

    await asyncio.gather(login(TokenStore(path), "one"), login(TokenStore(path), "two"))
    assert order == ["one in", "one out", "two in", "two out"]


@pytest.mark.anyio
async def test_a_login_that_hangs_elsewhere_does_not_hang_this_one(path: Path) -> None:
    clock = Clock()
    async with TokenStore(path).turn("a", clock.sleep), TokenStore(path).turn("a", clock.sleep):
        assert sum(clock.slept) == pytest.approx(40)


def test_the_file_is_plain_json_with_times_in_utc(path: Path) -> None:
    TokenStore(path).put("a", TOKEN, *WHO)
    kept = json.loads(path.read_text())
    assert kept["accounts"]["a"]["expires_at"] == "2026-11-21T10:30:00.000Z"
