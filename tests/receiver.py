"""A receiver of webhooks on loopback: keeps what arrives, and answers as a test asks."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]  #: names in lower case
    content: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.content)
        return found


@dataclass(slots=True)
class Receiver:
    """What arrived so far; `answers` are the statuses to come, then it is `otherwise`."""

    url: str = ""
    got: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    otherwise: int = 204

    @property
    def events(self) -> list[tuple[str, Any]]:
        """Type and row of each."""
        return [(one.json["type"], one.json["data"].get("id")) for one in self.got]


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """Serve one, on a free port unless one is given."""
    state = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            state.got.append(Received(self.path, {k.lower(): v for k, v in self.headers.items()}, content))
            self.send_response(state.answers.pop(0) if state.answers else state.otherwise)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
