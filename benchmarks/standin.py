"""A stand-in for both vendors, in its own process and fast enough not to affect what is measured.

A minimal HTTP/1.1 server: it looks up an answer that is prepared as bytes and writes it after the latency. (Pages of very
long lists are made on request.) It only behaves like a well-behaved vendor. Misbehaviour is the sandbox's task.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import selectors
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from benchmarks import people

#: Answers are prepared for lists of up to this many contacts. More would take too much memory.
READY = 250_000

#: The rows of a full page, by list.
STEPS = {"directory": 100, "users": 10, "smartflo": 100}

#: Time between two voicemails.
VOICEMAIL_MS = 600_000

Params = dict[str, Any]


class Vendors:
    """The data of both vendors, and their answers as bytes."""

    def __init__(self, directory: int, users: int, smartflo: int, latency: float) -> None:
        self.sizes = {"directory": directory, "users": users, "smartflo": smartflo}
        self.latency = latency
        self.revision = 0
        self.edited: dict[int, dict[str, str]] = {}  #: contacts of the directory that were written to
        self.calls: dict[str, int] = {}
        self.writes: list[float] = []  #: when each write arrived, on the monotonic clock
        self._ready: dict[tuple[str, int, int], bytes] = {}
        self.routes: dict[str, Callable[[Params], bytes]] = {
            "/v3/contact/get": self.directory,
            "/v3/contact/add": self.add,
            "/v3/contact/update": self.update,
            "/v2/user/contact/get": self.users,
            "/v2/voicemail": self.voicemails,
            "/v1/contacts": self.smartflo,
            "/v1/contact/groups": self.groups,
            "/control": self.control,
        }

    def prepare(self) -> None:
        """Prepare the answers."""
        for name, step in STEPS.items():
            if self.sizes[name] <= READY:
                for start in range(0, self.sizes[name], step):
                    self._page(name, start, step)

    # -- pages

    def _rows(self, name: str, numbers: Iterable[int]) -> list[str]:
        match name:
            case "directory":
                return [self._contact(n) for n in numbers]
            case "users":
                return [people.user_row(n, self.revision) for n in numbers]
            case _:
                return [people.smartflo_row(n, self.revision) for n in numbers]

    def _contact(self, number: int) -> str:
        edit = self.edited.get(number)
        if edit is None:
            return people.directory_row(number, self.revision)
        return json.dumps({"contact_id": people.contact_id(number), **edit}, separators=(",", ":"))

    def _page(self, name: str, start: int, limit: int) -> bytes:
        """The body of the page that starts with contact `start`."""
        key = (name, start, limit)
        body = self._ready.get(key)
        if body is None:
            size = self.sizes[name]
            numbers = range(start, min(start + limit, size))
            body = self._body(name, self._rows(name, numbers), start + limit)
            if size <= READY and limit == STEPS[name]:
                self._ready[key] = body
        return body

    def _body(self, name: str, rows: list[str], after: int) -> bytes:
        listed, size = ",".join(rows), self.sizes[name]
        match name:
            case "directory":
                state = f'"at-{after}"' if after < size else '""'
                text = f'{{"code":200,"contacts":[{listed}],"count":{size},"page_state":{state}}}'
            case "users":
                text = f'{{"code":200,"count":{size},"contacts":[{listed}]}}'
            case _:
                text = f'{{"page":1,"size":{len(rows)},"limit":100,"results":[{listed}]}}'
        return text.encode()

    def _outdated(self, name: str, numbers: Iterable[int]) -> None:
        """Drop the prepared answers that contain one of these contacts."""
        step = STEPS[name]
        for n in numbers:
            self._ready.pop((name, n // step * step, step), None)

    # -- TeleCMI

    def directory(self, asked: Params) -> bytes:
        """`/v3/contact/get`: by cursor, or one contact by its id."""
        if "contact_id" in asked:
            number = people.number_of(asked["contact_id"])
            found = [self._contact(number)] if 0 <= number < self.sizes["directory"] else []
            return f'{{"code":200,"contacts":[{",".join(found)}],"count":{len(found)}}}'.encode()
        start = int(str(asked.get("page_state") or "at-0")[3:])
        return self._page("directory", start, min(int(asked.get("limit", 10)), 100))

    def update(self, asked: Params) -> bytes:
        """`/v3/contact/update`."""
        for one in asked["contacts"]:
            number = people.number_of(one.pop("contact_id"))
            before = self.edited.get(number) or people.fields(number, self.revision)
            self.edited[number] = before | one
            self._ready.pop(("directory", number // 100 * 100, 100), None)
        return b'{"code":200,"msg":"contacts updated"}'

    def add(self, asked: Params) -> bytes:
        """`/v3/contact/add`: appends to the directory."""
        for one in asked["contacts"]:
            number = self.sizes["directory"]
            self.edited[number] = dict.fromkeys(people.fields(0), "") | one
            self.sizes["directory"] += 1
        self._ready = {key: body for key, body in self._ready.items() if key[0] != "directory"}
        return b'{"code":200,"msg":"contacts added"}'

    def users(self, asked: Params) -> bytes:
        """`/v2/user/contact/get`: numbered pages of ten."""
        limit = min(int(asked.get("limit", 10)), 10)
        return self._page("users", (int(asked.get("page", 1)) - 1) * limit, limit)

    def voicemails(self, asked: Params) -> bytes:
        """`/v2/voicemail`: ten per page. There is one every ten minutes."""
        first = -(-int(asked["start_date"]) // VOICEMAIL_MS)
        last = int(asked["end_date"]) // VOICEMAIL_MS
        skipped = (int(asked.get("page", 1)) - 1) * 10
        numbers = range(first, last + 1)
        rows = [people.voicemail_row(n, n * VOICEMAIL_MS) for n in numbers[skipped : skipped + 10]]
        return f'{{"code":200,"count":{len(numbers)},"voicemail":[{",".join(rows)}]}}'.encode()

    # -- Smartflo

    def smartflo(self, asked: Params) -> bytes:
        """`/v1/contacts`: numbered pages of all contacts, or of those updated after a time."""
        limit = min(int(asked.get("limit", 100)), 100)
        start = (int(asked.get("page", 1)) - 1) * limit
        if "updated_after" not in asked:
            return self._page("smartflo", start, limit)
        after = asked["updated_after"].replace(" ", "T")
        newest = [
            n
            for revision in range(1, self.revision + 1)
            for n in people.changed_by(revision, self.sizes["smartflo"])
            if people.stamp(n, self.revision) > after
        ]
        return self._body("smartflo", self._rows("smartflo", newest[start : start + limit]), 0)

    def groups(self, asked: Params) -> bytes:
        """`/v1/contact/groups`: three groups."""
        rows = [
            f'{{"id":{n},"name":"Group {n}","description":null,"updated_at":"2026-01-01T00:00:00+0530"}}'
            for n in (1, 2, 3)
            if int(asked.get("page", 1)) == 1
        ]
        return f'{{"page":1,"size":{len(rows)},"limit":100,"results":[{",".join(rows)}]}}'.encode()

    # -- control

    def control(self, asked: Params) -> bytes:
        """Change the latency or the revision. Returns and resets the counts of requests."""
        if "latency" in asked:
            self.latency = float(asked["latency"])
        if "revision" in asked:
            before, self.revision = self.revision, int(asked["revision"])
            for name, size in self.sizes.items():
                for revision in range(before + 1, self.revision + 1):
                    self._outdated(name, people.changed_by(revision, size))
            self.prepare()
        if "bulk" in asked:
            self._edit_in_bulk(int(asked["start"]), int(asked["bulk"]))
        counts = {"calls": self.calls, "writes": self.writes, "sizes": self.sizes, "edited": len(self.edited)}
        self.calls, self.writes = {}, []
        return json.dumps(counts).encode()

    def _edit_in_bulk(self, start: int, contacts: int) -> None:
        """Change the job title of adjacent contacts."""
        numbers = range(start, start + contacts)
        for n in numbers:
            now = self.edited.get(n) or people.fields(n, self.revision)
            self.edited[n] = now | {"job_title": f"{now['job_title']} (new)"}
        self._outdated("directory", numbers)
        self.prepare()


class Connection(asyncio.Protocol):
    """A keep-alive connection."""

    def __init__(self, vendors: Vendors) -> None:
        self._vendors = vendors
        self._loop = asyncio.get_running_loop()
        self._pending = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every complete request."""
        self._pending += data
        while (end := self._pending.find(b"\r\n\r\n")) >= 0:
            head = self._pending[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            complete = end + 4 + length
            if len(self._pending) < complete:
                return
            target = self._pending.split(b" ", 2)[1].decode()
            body, self._pending = self._pending[end + 4 : complete], self._pending[complete:]
            self._answer(target, body)

    def _answer(self, target: str, body: bytes) -> None:
        vendors = self._vendors
        path, _, query = target.partition("?")
        if body:
            asked: Params = json.loads(body)
        else:
            asked = {name: values[0] for name, values in parse_qs(query).items()}
        if path != "/control":
            vendors.calls[path] = vendors.calls.get(path, 0) + 1
        if path in ("/v3/contact/add", "/v3/contact/update"):
            vendors.writes.append(time.monotonic())
        route = vendors.routes.get(path)
        content = route(asked) if route else b'{"code":404,"msg":"no such call"}'
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(
            content
        )
        if vendors.latency and path != "/control":
            self._loop.call_later(vendors.latency, self._write, head + content)
        else:
            self._write(head + content)

    def _write(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


async def serve(vendors: Vendors) -> None:
    """Listen on a free port, print it, and serve until stdin closes."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(vendors), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    # The process that started this one holds the other end, so this one ends with it.
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


def main() -> None:
    """`python -m benchmarks.standin --directory 1000`."""
    parser = argparse.ArgumentParser()
    for name in ("directory", "users", "smartflo"):
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    vendors = Vendors(**vars(parser.parse_args()))
    vendors.prepare()
    # select() is exact to the microsecond. epoll works in milliseconds, and would add one to a latency of 50.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    loop.run_until_complete(serve(vendors))


if __name__ == "__main__":
    main()
