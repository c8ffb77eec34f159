"""TLS for real, on loopback: an own CA, a certificate of somebody else, of another name, out of date, an old protocol."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from syncer.errors import TransientError
from syncer.remote import transport
from syncer.remote.wire import Call
from tests.remote.fakes import read_request, real

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="there is no openssl here to make certificates"
)
pytestmark = [pytest.mark.anyio, needs_openssl]

#: A call that holds a secret and is tried once.
SECRET = "a-planted-secret"
CALL = Call("/write", "POST", "/write", json={"token": SECRET}, write=True)


def openssl(folder: Path, *args: str) -> None:
    done = subprocess.run(["openssl", *args], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, and certificates by it: for this machine, a vendor, another one, and one that has run out."""
    made = tmp_path_factory.mktemp("tls")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        made,
        "req",
        "-x509",
        *key,
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-subj",
        "/CN=Invented CA",
        "-days",
        "2",
    )
    names = {
        "good": "IP:127.0.0.1",
        "named": "DNS:vendor.example",
        "other": "DNS:other.example",
        "old": "IP:127.0.0.1",
    }
    for name, subject in names.items():
        (made / f"{name}.ext").write_text(f"subjectAltName={subject}\n")
        openssl(made, "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        # -1: it ended before it began.
        openssl(
            made, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", f"{name}.pem", "-extfile", f"{name}.ext", "-days", "-1" if name == "old" else "2",
        )  # fmt: skip
    return made


class Served:
    """A vendor with a certificate; what reached it."""

    def __init__(self) -> None:
        self.url = ""
        self.requests = 0
        self.version: str | None = None


@asynccontextmanager
async def vendor(folder: Path, name: str, *, newest: ssl.TLSVersion | None = None) -> AsyncIterator[Served]:
    served = Served()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    if newest is not None:
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # else the library itself refuses what is old
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = newest

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            served.version = writer.get_extra_info("ssl_object").version()
            await read_request(reader)
            served.requests += 1
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    served.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield served
    finally:
        server.close()


async def refused(served: Served, ca_file: Path | None) -> None:
    """The call fails without having been sent, and the error holds neither the address nor the secret."""
    async with real(served.url, ca_file=ca_file) as client:
        with pytest.raises(TransientError, match="its certificate is not trusted") as caught:
            await client.call(CALL)
    assert served.requests == 0 and not caught.value.sent
    assert SECRET not in repr(caught.value) and "127.0.0.1" not in str(caught.value)


async def test_an_own_ca_is_trusted_where_the_config_names_it(folder: Path) -> None:
    async with vendor(folder, "good") as served, real(served.url, ca_file=folder / "ca.pem") as client:
        assert (await client.call(CALL)).body == {}
        assert served.requests == 1 and served.version in ("TLSv1.2", "TLSv1.3")


async def test_and_nowhere_else(folder: Path) -> None:
    async with vendor(folder, "good") as served:
        await refused(served, None)


@pytest.mark.parametrize("ca_file", [None, "other-ca.pem"])
async def test_the_environment_neither_adds_trust_nor_writes_keys(
    folder: Path, ca_file: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openssl(
        folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-keyout", "other-ca.key", "-out", "other-ca.pem", "-subj", "/CN=Another CA", "-days", "2",
    )  # fmt: skip
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    transport._usual_tls.cache_clear()
    async with vendor(folder, "good") as served:
        await refused(served, folder / ca_file if ca_file else None)
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("name", ["other", "old"])
async def test_a_certificate_of_another_name_or_out_of_date_is_refused(folder: Path, name: str) -> None:
    async with vendor(folder, name) as served:
        await refused(served, folder / "ca.pem")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
async def test_nothing_older_than_tls_1_2_is_spoken(folder: Path) -> None:
    async with vendor(folder, "good", newest=ssl.TLSVersion.TLSv1_1) as served:
        await refused(served, folder / "ca.pem")
    async with vendor(folder, "good", newest=ssl.TLSVersion.TLSv1_2) as served:
        async with real(served.url, ca_file=folder / "ca.pem") as client:
            assert (await client.call(CALL)).body == {}
        assert served.version == "TLSv1.2"
