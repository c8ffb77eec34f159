"""Which proxy the environment names for an address: every form that curl takes, and what is said of the rest."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from syncer.errors import ConfigError, OutcomeUnknownError, TransientError
from syncer.remote.probe import probe
from syncer.remote.proxy import proxy_for
from syncer.remote.wire import Call
from tests.remote.fakes import Serve, listening, real, silent
from tests.remote.test_tls import folder, needs_openssl, vendor

__all__ = ["folder"]  # a fixture

VENDOR = "https://rest.vendor.example/base"
READ = Call("/list", "GET", "/list")
WRITE = Call("/add", "POST", "/add", json={}, write=True)


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({"HTTPS_PROXY": "http://proxy.example:3128"}, "http://proxy.example:3128"),
        ({"https_proxy": "http://proxy.example:3128"}, "http://proxy.example:3128"),
        ({"HTTPS_PROXY": "http://upper.example:1", "https_proxy": "http://lower.example:1"}, "http://lower.example:1"),
        ({"HTTPS_PROXY": "http://upper.example:1", "https_proxy": ""}, "http://upper.example:1"),
        ({"HTTPS_PROXY": "proxy.example:3128"}, "http://proxy.example:3128"),
        ({"HTTPS_PROXY": "proxy.example"}, "http://proxy.example:1080"),
        ({"HTTPS_PROXY": "HTTP://Proxy.Example:3128/"}, "http://proxy.example:3128"),
        ({"HTTPS_PROXY": ' "http://proxy.example:3128" \n'}, "http://proxy.example:3128"),
        ({"HTTPS_PROXY": "'proxy.example:3128'"}, "http://proxy.example:3128"),
        ({"HTTPS_PROXY": "https://proxy.example"}, "https://proxy.example:443"),
        ({"HTTPS_PROXY": "http://192.0.2.7:8080"}, "http://192.0.2.7:8080"),
        ({"HTTPS_PROXY": "http://[2001:db8::7]:8080"}, "http://[2001:db8::7]:8080"),
        ({"ALL_PROXY": "proxy.example:3128"}, "http://proxy.example:3128"),
        ({"all_proxy": "proxy.example:3128"}, "http://proxy.example:3128"),
        ({"ALL_PROXY": "all.example:1", "HTTPS_PROXY": "https.example:1"}, "http://https.example:1"),
        ({"ALL_PROXY": "socks5://all.example", "HTTPS_PROXY": "https.example:1"}, "http://https.example:1"),
        ({"HTTP_PROXY": "http://proxy.example:3128", "FTP_PROXY": "x"}, None),
    ],
)  # fmt: skip
def test_the_proxy_of_an_address(environ: dict[str, str], url: str | None) -> None:
    found = proxy_for(VENDOR, environ)
    assert (found and found.url) == url


@pytest.mark.parametrize(
    ("value", "auth"),
    [
        ("http://asha:secret@proxy.example:1", ("asha", "secret")),
        ("asha:secret@proxy.example:1", ("asha", "secret")),
        ("http://a%40b:p%3Aw@proxy.example:1", ("a@b", "p:w")),
        ("http://asha:p@ss@proxy.example:1", ("asha", "p@ss")),
        ("http://asha@proxy.example:1", ("asha", "")),
        ("http://proxy.example:1", None),
    ],
)
def test_the_credentials_of_a_proxy(value: str, auth: tuple[str, str] | None) -> None:
    found = proxy_for(VENDOR, {"HTTPS_PROXY": value})
    assert found is not None and found.auth == auth and found.url == "http://proxy.example:1"
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:8/x", "http://localhost", "http://[::1]:8", "http://127.9.9.9"]
)
def test_this_machine_is_never_asked_through_a_proxy(url: str) -> None:
    assert proxy_for(url, {"ALL_PROXY": "junk of any kind", "HTTP_PROXY": "p", "HTTPS_PROXY": "p"}) is None


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_plain_http_has_its_own_variable(name: str) -> None:
    found = proxy_for("http://vendor.example", {name: "proxy.example:1", "HTTPS_PROXY": "other.example:1"})
    assert found is not None and (found.variable, found.host) == (name, "proxy.example")


HOST = "https://rest.vendor.example"


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("", HOST, False),
        ("*", HOST, True),
        ("other.example, *", HOST, True),
        ("rest.vendor.example", HOST, True),
        ("REST.Vendor.Example", HOST, True),
        ("vendor.example", HOST, True),
        (".vendor.example", HOST, True),
        ("*.vendor.example", HOST, True),
        ("vendor.example.", HOST, True),
        ("vendor.example", HOST + ".", True),
        ("endor.example", HOST, False),
        ("sub.rest.vendor.example", HOST, False),
        ("example.com,vendor.example", HOST, True),
        ("example.com vendor.example", HOST, True),
        (" example.com ,\tvendor.example ", HOST, True),
        ('"example.com,vendor.example"', HOST, True),
        ("vendor.example:8443", HOST + ":8443", True),
        ("vendor.example:8443", HOST + ":9443", False),
        ("vendor.example:8443", HOST, False),
        ("192.0.2.7", "https://192.0.2.7", True),
        ("192.0.2.0/24", "https://192.0.2.7", True),
        ("192.0.2.0/24", "https://192.0.3.7", False),
        ("2.7", "https://192.0.2.7", False),
        ("2001:db8::7", "https://[2001:db8::7]", True),
        ("[2001:db8::7]", "https://[2001:db8::7]", True),
        ("2001:db8::/32", "https://[2001:db8::7]:8443", True),
        ("192.0.2.0/24", "https://[2001:db8::7]", False),
        (", ,,", HOST, False),
    ],
)
def test_hosts_that_need_no_proxy(no_proxy: str, url: str, direct: bool) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        found = proxy_for(url, {"HTTPS_PROXY": "proxy.example:1", name: no_proxy})
        assert (found is None) is direct, name


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("socks5://asha:planted-secret@proxy.example:1080", "SOCKS"),
        ("SOCKS5H://proxy.example", "SOCKS"),
        ("socks4a://proxy.example", "SOCKS"),
        ("socks://proxy.example", "SOCKS"),
        ("ftp://asha:planted-secret@proxy.example", "not the address"),
        ("http://", "not the address"),
        ("://", "not the address"),
        (":3128", "not the address"),
        ("not a proxy", "not the address"),
        ("http://proxy.example:port", "not the address"),
        ("http://proxy.example:99999", "not the address"),
        ("http://[::1", "not the address"),
        ("http://pro<xy", "not the address"),
        ("planted-secret\x00", "not the address"),
    ],
)
def test_what_cannot_be_used_is_named_by_its_variable(variable: str, value: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        proxy_for(VENDOR, {variable: value})
    (problem,) = caught.value.problems
    assert problem.startswith(f"{variable} in the environment") and why in problem
    assert "rest.vendor.example" in problem and "planted-secret" not in problem
    assert proxy_for(VENDOR, {variable: value, "NO_PROXY": "vendor.example"}) is None


# -- over real connections -----------------------------------------------------------------------------


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that names no proxy yet."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


def a_proxy(heads: list[bytes], answer: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()

    return serve


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


@pytest.mark.anyio
async def test_plain_http_goes_through_the_proxy_with_its_credentials(clean: pytest.MonkeyPatch) -> None:
    heads: list[bytes] = []
    async with listening(a_proxy(heads, OK)) as url:
        clean.setenv("http_proxy", url.replace("http://", "asha:example@"))
        async with real("http://vendor.example") as client:
            assert (await client.call(READ)).body == {}
    assert heads[0].startswith(b"GET http://vendor.example/list HTTP/1.1")
    assert b"proxy-authorization: basic yxnoytplegftcgxl" in heads[0].lower()


@pytest.mark.anyio
@pytest.mark.parametrize("base", ["http://vendor.example", "https://vendor.example"])
async def test_a_proxy_that_refuses_is_named_and_nothing_was_sent(
    base: str, clean: pytest.MonkeyPatch
) -> None:
    refusal = b"HTTP/1.1 407 planted-secret\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    async with listening(a_proxy([], refusal)) as url:
        clean.setenv("ALL_PROXY", url)
        async with real(base) as client:
            with pytest.raises(
                TransientError, match=r"the proxy refused \(407\); nothing was sent"
            ) as caught:
                await client.call(WRITE)
    assert not caught.value.sent and "planted-secret" not in str(caught.value)


@pytest.mark.anyio
async def test_a_proxy_that_is_not_there_is_named_by_its_variable(clean: pytest.MonkeyPatch) -> None:
    clean.setenv("HTTPS_PROXY", "http://asha:planted-secret@127.0.0.1:9")
    async with real(VENDOR) as client:
        with pytest.raises(TransientError, match="no connection through the proxy in HTTPS_PROXY") as caught:
            await client.call(WRITE)
    assert not caught.value.sent and "planted-secret" not in str(caught.value)
    found = await probe(VENDOR, None)
    assert found is not None and "HTTPS_PROXY" in found.text and "127.0.0.1, port 9, refuses" in found.text


@pytest.mark.anyio
async def test_a_proxy_that_leads_nowhere(clean: pytest.MonkeyPatch) -> None:
    async with listening(a_proxy([], b"")) as url:
        clean.setenv("HTTPS_PROXY", url)
        found = await probe(VENDOR, None)
    assert found is not None and "takes connections, but does not lead to rest.vendor.example" in found.text


@pytest.mark.anyio
async def test_a_tunnel_that_hangs_was_never_sent_and_a_call_in_it_may_have_been(
    clean: pytest.MonkeyPatch,
) -> None:
    async with listening(silent) as url:
        clean.setenv("ALL_PROXY", url)
        async with real("https://vendor.example", timeout=0.1) as client:
            with pytest.raises(TransientError) as caught:
                await client.call(WRITE)
            assert not caught.value.sent
        async with real("http://vendor.example", timeout=0.1) as client:
            with pytest.raises(OutcomeUnknownError):
                await client.call(WRITE)


@needs_openssl
@pytest.mark.anyio
async def test_https_goes_through_a_tunnel(folder: Path, clean: pytest.MonkeyPatch) -> None:
    heads: list[bytes] = []

    async with vendor(folder, "named") as served:
        port = int(served.url.rpartition(":")[2])

        async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            inner, outer = await asyncio.open_connection("127.0.0.1", port)
            try:
                await asyncio.gather(_pour(reader, outer), _pour(inner, writer))
            finally:
                outer.close()

        async with listening(tunnel) as url:
            clean.setenv("https_proxy", url)
            async with real("https://vendor.example", ca_file=folder / "ca.pem") as client:
                assert (await client.call(WRITE)).body == {}
    assert served.requests == 1 and heads[0].startswith(b"CONNECT vendor.example:443 HTTP/1.1")


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.mark.anyio
async def test_no_netrc_is_read(tmp_path: Path, clean: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("default login asha password planted-secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    clean.setenv("HOME", str(tmp_path))
    clean.setenv("NETRC", str(tmp_path / ".netrc"))
    heads: list[bytes] = []
    async with listening(a_proxy(heads, OK)) as url:
        clean.setenv("http_proxy", url)
        async with real("http://vendor.example") as client:
            await client.call(READ)
    assert b"authorization" not in heads[0].lower()
