"""How long a caller lookup takes: at rest, while a phone reads a phonebook, and while a pull writes."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager

from benchmarks import people
from benchmarks.bench import Bench, directory_only, in_background
from benchmarks.daemon import free_port, running, wait_for_first_round, wait_for_port
from benchmarks.office import write_config
from benchmarks.report import Line, Sample, p99
from benchmarks.upstream import Upstream

#: Keys (each allows 20 lookups a second), lookups a second with each, and lookups in a round.
KEYS, A_SECOND, LOOKUPS = 50, 10, 1000

NOTE = "lookups of different numbers, one after the other over one connection"


def lookup(bench: Bench) -> Iterator[Line]:
    """The 99th percentile of lookups, compared with a minimal server."""
    quiet: list[float] = []
    median: list[float] = []
    reading: list[float] = []
    pulling: list[float] = []
    constant: list[float] = []
    with Upstream(directory=bench.contacts) as upstream:
        for n in range(bench.rounds):
            with bench.room() as room:
                port = free_port()
                config = directory_only(upstream.port, contacts={"every": "1h"}, push={"enabled": False})
                config["http"] = {"listen": f"127.0.0.1:{port}"}
                config["lookup"] = {f"n{i}": {"key": _key(i)} for i in range(KEYS + 1)}
                bench.office(room, config, contacts=bench.contacts)
                write_config(config, room / "syncer.toml")
                with running(room):
                    wait_for_first_round(room / "mirror.db", limit=600, jobs=1, after=1)
                    with _constant() as bare:
                        constant.append(p99(_lookups(bare, bench.contacts)))
                    took = _lookups(port, bench.contacts)
                    quiet.append(p99(took))
                    median.append(sorted(took)[len(took) // 2])
                    with _reading(port):
                        reading.append(p99(_lookups(port, bench.contacts)))
                upstream.control(bulk=bench.contacts // 10, start=n * bench.contacts // 10)
                with running(room):  # pulls at once
                    wait_for_port(port)
                    pulling.append(p99(_lookups(port, bench.contacts)))
    base = Sample.of(constant, "ms")
    what, against = f"`/lookup`, {bench.contacts:,} contacts", "a minimal server, p99"
    yield Line(f"{what}: p99", Sample.of(quiet, "ms"), against, base, 5, "ours", (NOTE,))
    yield Line(f"{what}: median", Sample.of(median, "ms"))
    yield Line(f"{what}: p99 while a phonebook is read", Sample.of(reading, "ms"), against, base)
    yield Line(f"{what}: p99 while a pull writes", Sample.of(pulling, "ms"), against, base)


def _key(n: int) -> str:
    return f"bench-key-{n:06d}"


def _lookups(port: int, contacts: int) -> list[float]:
    """How long each lookup took, in ms. They are sent no faster than the keys allow."""
    took = []
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as client:
        client.connect()
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for n in range(LOOKUPS):
            number = people.mobile(n * 7919 % contacts)
            began = time.perf_counter()
            client.request("GET", f"/lookup?number=91{number}", headers={"X-Api-Key": _key(n % KEYS)})
            answer = client.getresponse()
            assert answer.read() and answer.status == 200, answer.status
            took.append((time.perf_counter() - began) * 1000)
            time.sleep(max(0.0, 1.0 / (A_SECOND * KEYS) - took[-1] / 1000))
    return took


def _reading(port: int) -> AbstractContextManager[None]:
    """A phone that reads the whole phonebook again and again."""

    def work(stop: threading.Event) -> None:
        while not stop.is_set():
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as client:
                client.request("GET", "/phonebook/yealink.xml", headers={"X-Api-Key": _key(KEYS)})
                answer = client.getresponse()
                while not stop.is_set() and answer.read(65536):
                    pass

    return in_background(work)


@contextlib.contextmanager
def _constant() -> Iterator[int]:
    """A minimal server in its own process: it reads a request and writes 80 bytes."""
    port = free_port()
    process = multiprocessing.get_context("spawn").Process(target=_serve_constant, args=(port,))
    process.start()
    try:
        wait_for_port(port)
        yield port
    finally:
        process.terminate()
        process.join()


def _serve_constant(port: int) -> None:
    body = b'{"phone_e164": "+919200000001", "name": "Asha Example", "company": "", "age_s": 1}'
    response = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(response)
        writer.close()

    async def serve() -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", port) as server:
            await server.serve_forever()

    asyncio.run(serve())
