"""Calls an address on each new call and voicemail, as the vendors do: unsigned, perhaps lost or repeated.

The events come from `callbook` and `world`. Only addresses on loopback are called.
"""

from __future__ import annotations

import heapq
import http.client
import ipaddress
import itertools
import json
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any
from urllib.parse import urlencode, urlsplit

EVENTS = ("missed", "answered", "outgoing", "voicemail")
#: Seconds that an address may take to answer.
_PATIENCE_S = 5.0


class WebhookError(ValueError):
    """A webhook that cannot be used. `problems` has a sentence for each problem."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


@dataclass(slots=True)
class Webhook:
    """One address, and the events that it is called for."""

    url: str
    vendor: str | None = None  #: `telecmi` or `smartflo`; None: both
    on: list[str] = field(default_factory=lambda: list(EVENTS))
    method: str = "POST"  #: with GET the record is in the query
    format: str = "json"  #: of a POST: `json` or `form`
    times: int = 1  #: how often each event is sent
    lose_every: int | None = None  #: every n-th event is lost; 1: all of them; None: none
    delay_s: float = 0.0  #: seconds between the event and the request
    events: int = 0  #: events so far that it is called for
    lost: int = 0
    sent: int = 0  #: requests made
    answers: deque[Any] = field(
        default_factory=lambda: deque(maxlen=100)
    )  #: the last ones: a status or an error

    @classmethod
    def of(cls, rule: Mapping[str, Any]) -> Webhook:
        """From JSON. Raises `WebhookError`."""
        known = {f.name for f in fields(cls)} - {"events", "lost", "sent", "answers"}
        problems = [f"unknown key of a webhook: {key}" for key in sorted(set(rule) - known)]
        if not _on_loopback(rule.get("url")):
            problems.append("url must be an http address on loopback, such as http://127.0.0.1:9464/doorbell")
        for key, choices in (
            ("vendor", (None, "telecmi", "smartflo")),
            ("method", ("GET", "POST")),
            ("format", ("json", "form")),
        ):
            if key in rule and rule[key] not in choices:
                problems.append(f"{key} must be one of {', '.join(str(c) for c in choices if c)}")
        on = rule.get("on", [])
        if not isinstance(on, list) or not all(event in EVENTS for event in on):
            problems.append(f"on must be a list of {', '.join(EVENTS)}")
        for key in ("times", "lose_every"):
            value = rule.get(key, 1)
            if value is None and key == "lose_every":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                problems.append(f"{key} must be a whole number from 1 on")
        delay = rule.get("delay_s", 0)
        if isinstance(delay, bool) or not isinstance(delay, int | float) or delay < 0:
            problems.append("delay_s must be a number of seconds")
        if problems:
            raise WebhookError(problems)
        return cls(**rule)

    def as_json(self) -> dict[str, Any]:
        """For JSON. Of the address only the host, since the path may contain a key."""
        parts = urlsplit(self.url)
        return {**asdict(self), "url": f"{parts.scheme}://{parts.netloc}/...", "answers": list(self.answers)}


def _on_loopback(url: object) -> bool:
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        if parts is None or parts.scheme != "http" or parts.hostname is None or (parts.port or 80) < 1:
            return False
        return parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        return False


class Webhooks:
    """The addresses and the waiting requests, which are made one at a time, in order of time."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._hooks: list[Webhook] = []
        self._due: list[tuple[float, int, Webhook, dict[str, Any]]] = []
        self._numbers = itertools.count()
        self._running = False

    def add(self, *rules: Mapping[str, Any]) -> None:
        """Add webhooks. Raises `WebhookError`, and adds none, if one cannot be used."""
        made = [Webhook.of(rule) for rule in rules]
        with self._changed:
            self._hooks.extend(made)

    def clear(self) -> None:
        """Remove all webhooks and waiting requests."""
        with self._changed:
            self._hooks.clear()
            self._due.clear()
            self._changed.notify()

    def as_json(self) -> list[dict[str, Any]]:
        """Each webhook with its results."""
        with self._changed:
            return [hook.as_json() for hook in self._hooks]

    def ring(self, vendor: str, events: Iterable[str], record: Mapping[str, Any]) -> None:
        """Call every address for one of these events, in the background."""
        wanted = set(events)
        with self._changed:
            for hook in self._hooks:
                if hook.vendor not in (None, vendor) or not wanted & set(hook.on):
                    continue
                hook.events += 1
                if hook.lose_every and hook.events % hook.lose_every == 0:
                    hook.lost += 1
                    continue
                at = time.monotonic() + hook.delay_s
                for _ in range(hook.times):
                    heapq.heappush(self._due, (at, next(self._numbers), hook, dict(record)))
            if self._due and not self._running:
                self._running = True
                threading.Thread(target=self._deliver, daemon=True).start()
            self._changed.notify()

    def _deliver(self) -> None:
        """Make the waiting requests when they are due, until there are none."""
        while True:
            with self._changed:
                while self._due and (wait := self._due[0][0] - time.monotonic()) > 0:
                    self._changed.wait(wait)
                if not self._due:
                    self._running = False
                    return
                _, _, hook, record = heapq.heappop(self._due)
            answer = _request(hook, record)
            with self._changed:
                hook.sent += 1
                hook.answers.append(answer)


def _request(hook: Webhook, record: Mapping[str, Any]) -> int | str:
    """Make one request. Returns its status, or the kind of its error."""
    parts = urlsplit(hook.url)
    form = urlencode({name: value for name, value in record.items() if value is not None})
    query = "&".join(part for part in (parts.query, form if hook.method == "GET" else "") if part)
    target = f"{parts.path or '/'}?{query}" if query else parts.path or "/"
    body, headers = None, {}
    if hook.method == "POST":
        as_json = hook.format == "json"
        body = json.dumps(record) if as_json else form
        headers = {"Content-Type": "application/json" if as_json else "application/x-www-form-urlencoded"}
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_PATIENCE_S)
    try:
        connection.request(hook.method, target, body, headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as problem:
        return type(problem).__name__
    finally:
        connection.close()
