"""Why a vendor cannot be reached: each step has its own message and advice."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from syncer.remote.probe import Trouble, probe
from tests.remote.fakes import listening
from tests.remote.test_tls import folder, needs_openssl, vendor

__all__ = ["folder"]  # a fixture

pytestmark = pytest.mark.anyio


async def trouble(url: str, ca_file: Path | None = None, **more: Any) -> Trouble:
    found = await probe(url, ca_file, **more)
    assert found is not None and found.fix
    return found


async def test_a_name_that_nobody_knows() -> None:
    async def unknown(host: str, port: int) -> None:
        assert (host, port) == ("vendor.example", 443)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    found = await trouble("https://vendor.example", resolve=unknown)
    assert found.text == "the name vendor.example cannot be looked up (name or service not known)"
    assert "getent hosts vendor.example" in found.fix


async def test_a_name_server_that_is_silent() -> None:
    async def silent(host: str, port: int) -> None:
        await asyncio.Event().wait()

    found = await trouble("http://vendor.example:81", resolve=silent, patience=0.01)
    assert "(no answer in time)" in found.text


async def test_a_port_where_nobody_listens() -> None:
    assert (await trouble("http://127.0.0.1:9")).text == "127.0.0.1, port 9, refuses the connection"


async def test_a_network_that_is_not_there() -> None:
    found = await trouble("http://[100::1]:9", patience=0.5)  # the discard prefix of IPv6
    assert "cannot be reached" in found.text or "does not answer" in found.text


async def test_all_well_is_no_trouble() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with listening(serve) as url:
        assert await probe(url, None) is None


async def test_a_port_that_speaks_no_tls() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with listening(serve) as url:
        assert "speaks no TLS 1.2 or newer" in (await trouble(url.replace("http:", "https:"))).text


@needs_openssl
@pytest.mark.parametrize(
    ("name", "own_ca", "why", "mend"),
    [
        ("good", False, "unable to get local issuer certificate", "ca_file"),
        ("other", True, "it is for another name", "base_url"),
        ("old", True, "certificate has expired", "clock"),
    ],
)
async def test_each_reason_to_trust_no_certificate(
    folder: Path, name: str, own_ca: bool, why: str, mend: str
) -> None:
    async with vendor(folder, name) as served:
        found = await trouble(served.url, folder / "ca.pem" if own_ca else None)
    assert found.text == f"the certificate of 127.0.0.1 is not trusted ({why})"
    assert mend in found.fix


async def test_a_proxy_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://somebody:planted-secret@127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    found = await trouble("https://vendor.example")
    assert "https_proxy" in found.fix and "planted-secret" not in found.text + found.fix
