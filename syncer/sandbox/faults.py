"""Faults: which requests a rule applies to, and how often.

`broken` makes the broken answers.
"""

from __future__ import annotations

import fnmatch
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

#: Every kind of fault.
KINDS: dict[str, str] = {
    "html200": "HTTP 200 with a page of HTML",
    "html502": "HTTP 502 with a page of HTML, as a proxy sends it",
    "empty_body": "HTTP 200 with nothing in it",
    "junk": "HTTP 200 with bytes that are no text",
    "half_json": "the first half of the answer, with the length of that half",
    "half_body": "the first half of the answer with the length of the whole; then the connection closes",
    "list": "HTTP 200 with []",
    "object": "HTTP 200 with {}",
    "null": "HTTP 200 with null",
    "code_only": 'HTTP 200 with {"code":200} (Smartflo: {"success":true})',
    "zero_rows": "a good answer of a list call without any row (count 0)",
    "error_flag": 'HTTP 200 with {"code":200,"error":true}',
    "code": "`code` and `message` inside HTTP 200",
    "http": "HTTP status `status` with a JSON error of the same number",
    "too_many": "HTTP 429, with `Retry-After: retry_after` unless that is null",
    "drop": "the connection closes without an answer; `reset`: with a TCP reset",
    "drop_after": "like drop, but the request is always applied",
    "hang": "`seconds` of silence, then the answer (a write that is not applied: then a drop)",
    "drip": "the answer `bytes` at a time (default 1), every `seconds`, for at most `at_most` seconds",
    "expire_token": "all tokens of that vendor end first; then the call goes on as usual",
    "bad_token": "the credential is refused",
}


class FaultError(ValueError):
    """A rule that cannot be used. `problems` has a sentence for each problem."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class Dropped(ConnectionError):
    """Stands for a dropped connection where there is none to close.

    Over real HTTP the client sees its connection closed. In process (`httpx.ASGITransport`) this is
    raised through the transport instead.
    """


@dataclass(slots=True)
class Fault:
    """One rule. The first rule that matches a request is applied."""

    kind: str
    path: str = "*"  #: which paths, `*` and `?` as in file names
    method: str | None = None
    nth: int | None = None  #: only the n-th request (from 1) that matches otherwise; None: each
    page: int | None = None  #: only that page of a listing, also by cursor
    contains: str | None = None  #: only requests whose body or query holds this text
    times: int | None = 1  #: how often it is applied; None: always
    applied: str = "before"  #: `before`: a write is not applied; `after`: it is applied first
    code: int = 500
    message: str = "Internal server error"
    status: int = 503
    retry_after: float | None = None
    seconds: float = 30.0
    at_most: float = 120.0
    bytes: int = 1  #: how many a drip sends at a time
    reset: bool = False
    seen: int = 0  #: requests that matched so far
    acted: int = 0

    @classmethod
    def of(cls, rule: Mapping[str, Any]) -> Fault:
        """From JSON: `{"match": {"path", "method", "nth", "page", "contains"}, "kind", "times", ...}`."""
        match = rule.get("match", {})
        if not isinstance(match, Mapping):
            raise FaultError(["match must be an object"])
        given = {**match, **{key: value for key, value in rule.items() if key != "match"}}
        known = set(cls.__slots__) - {"seen", "acted"}
        problems = [f"unknown key of a fault: {key}" for key in sorted(set(given) - known)]
        if given.get("kind") not in KINDS:
            problems.append(f"kind must be one of {', '.join(KINDS)}")
        if given.get("applied", "before") not in ("before", "after"):
            problems.append("applied must be before or after")
        for key in ("nth", "page", "times", "code", "status", "bytes"):
            value = given.get(key)
            if key in given and value is None and key in ("nth", "page", "times"):
                continue
            if key in given and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                problems.append(f"{key} must be a whole number from 1 on")
        for key in ("seconds", "at_most", "retry_after"):
            value = given.get(key, 0)
            if key == "retry_after" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                problems.append(f"{key} must be a number of seconds")
        if isinstance(status := given.get("status"), int) and status > 599:
            problems.append("status must be an HTTP status")
        if problems:
            raise FaultError(problems)
        return cls(**given)

    def meets(self, method: str, path: str, page: int, text: str) -> bool:
        """Whether it applies to this request. Counts the request if all but `nth` and `times` match."""
        if self.times is not None and self.acted >= self.times:
            return False
        if not fnmatch.fnmatchcase(path, self.path) or (self.method or method).upper() != method:
            return False
        if self.page is not None and self.page != page:
            return False
        if self.contains is not None and self.contains not in text:
            return False
        self.seen += 1
        if self.nth is not None and self.seen != self.nth:
            return False
        self.acted += 1
        return True

    def as_json(self) -> dict[str, Any]:
        """All of it, fit for JSON."""
        return asdict(self)


class Faults:
    """The rules, oldest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Fault] = []

    def add(self, *rules: Fault | Mapping[str, Any]) -> None:
        """Add rules at the end. Raises `FaultError`, and adds none, if one cannot be used."""
        made = [rule if isinstance(rule, Fault) else Fault.of(rule) for rule in rules]
        with self._lock:
            self._rules.extend(made)

    def clear(self) -> None:
        """Remove all rules."""
        with self._lock:
            self._rules.clear()

    def rules(self) -> list[Fault]:
        """All rules, including those that no longer apply."""
        with self._lock:
            return list(self._rules)

    def take(self, method: str, path: str, page: int, text: str) -> Fault | None:
        """The rule that applies to this request, or None."""
        with self._lock:
            return next((rule for rule in self._rules if rule.meets(method, path, page, text)), None)
