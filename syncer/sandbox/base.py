"""The sandbox's accounts, tokens, clock and request journal.

`world` has the operations that change the data as somebody upstream would.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from datetime import timedelta, timezone
from typing import Any

from syncer.sandbox.faults import Faults
from syncer.sandbox.settings import Settings
from syncer.sandbox.state import Organization, Request, Smartflo, Token, User
from syncer.sandbox.webhooks import Webhooks

IST = timezone(timedelta(hours=5, minutes=30))
APP_ID = 1111113
SECRET = "sandbox-secret"  # noqa: S105 - invented, good on loopback only
USER_ID = "101_1111113"
PASSWORD = "sandbox-password"  # noqa: S105 - invented, good on loopback only
#: A TeleCMI user token that is valid from the start.
USER_TOKEN = "sandbox-user-token"  # noqa: S105 - invented, good on loopback only
EMAIL = "ops@example.com"
#: A permanent token of Smartflo.
TOKEN = "sandbox-token"  # noqa: S105 - invented, good on loopback only

_SECRETS = frozenset({"token", "secret", "password", "access_token"})


class EditError(ValueError):
    """An edit that names something unknown, or lacks something."""


class Base:
    """The state of the sandbox.

    `clock` gives epoch seconds; everything that depends on time asks `now()`, which is the clock
    plus `skew_s`.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.skew_s = 0.0
        self.lock = threading.RLock()
        self.settings = Settings()
        self.faults = Faults()
        self.webhooks = Webhooks()
        self.journal: deque[Request] = deque(maxlen=50_000)
        self.organizations: dict[int, Organization] = {}
        self.telecmi_tokens: dict[str, Token] = {}
        self.smartflo = Smartflo(EMAIL, PASSWORD)
        self.smartflo_tokens: dict[str, Token] = {}
        self._numbers = itertools.count()
        self._requests = itertools.count(1)
        self._seq = itertools.count(1)
        self._smartflo_ids = itertools.count(40_001)
        self._call_ids = itertools.count(700_001)
        self._people = 0
        self._recent: dict[str, deque[float]] = {}
        self.add_organization(APP_ID, SECRET)
        self.add_user(USER_ID, PASSWORD, token=USER_TOKEN)
        self.smartflo_tokens[TOKEN] = Token(TOKEN, EMAIL, math.inf, "permanent")

    # Time and names

    def now(self) -> float:
        """The time in the sandbox, in epoch seconds."""
        return self._clock() + self.skew_s

    def advance(self, seconds: float) -> float:
        """Move the time forward, and return it."""
        with self.lock:
            self.skew_s += seconds
            return self.now()

    def tick(self) -> int:
        """A number that was not returned before."""
        return next(self._numbers)

    def _uuid(self) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"syncer-sandbox-{self.tick()}"))

    def new_token(self, prefix: str) -> str:
        """A new token. Every world has the same ones in the same order."""
        return f"{prefix}-{self._uuid()}"

    # Accounts

    def add_organization(self, app_id: int, secret: str = SECRET) -> Organization:
        """Add a TeleCMI app id, with its own directory."""
        with self.lock:
            return self.organizations.setdefault(app_id, Organization(app_id, secret))

    def add_user(self, user_id: str, password: str = PASSWORD, *, token: str | None = None) -> User:
        """Add a TeleCMI user (`<extension>_<app id>`). `token` is a token that never expires."""
        with self.lock:
            user = User(user_id, password, name=f"User {user_id.partition('_')[0]}")
            self.add_organization(user.app_id).users[user_id] = user
            if token:
                self.telecmi_tokens[token] = Token(token, user_id, math.inf, "permanent")
            return user

    def org(self, app_id: int | None = None) -> Organization:
        """An organization; by default the first one."""
        found = self.organizations.get(APP_ID if app_id is None else app_id)
        if found is None:
            raise EditError(f"no organization {app_id}")
        return found

    def user(self, user_id: str | None = None) -> User:
        """A user; by default the first one."""
        wanted = USER_ID if user_id is None else user_id
        for organization in self.organizations.values():
            if wanted in organization.users:
                return organization.users[wanted]
        raise EditError(f"no user {wanted}")

    def expire_tokens(self, vendor: str | None = None) -> int:
        """End all tokens (permanent ones too) of `telecmi`, of `smartflo`, or of both. Returns how many."""
        with self.lock:
            ended = 0
            for name, tokens in (("telecmi", self.telecmi_tokens), ("smartflo", self.smartflo_tokens)):
                if vendor in (None, name):
                    for token in tokens.values():
                        token.expires_at = min(token.expires_at, self.now())
                        ended += 1
            return ended

    # The journal

    def open_request(
        self, method: str, path: str, body: Any, query: dict[str, str] | None, auth: str | None
    ) -> Request:
        """Record a request, without its secrets."""
        with self.lock:
            entry = Request(next(self._requests), self.now(), method, path, _clean(body), _clean(query), auth)
            self.journal.append(entry)
            return entry

    def requests(self, after: int = 0) -> list[Request]:
        """The entries of the journal after entry `after`, oldest first."""
        with self.lock:
            return [entry for entry in self.journal if entry.n > after]

    def over_rate(self, account: str, per_s: float | None) -> bool:
        """Whether an account makes too many calls within a second. Counts the call if not."""
        with self.lock:
            recent = self._recent.setdefault(account, deque())
            now = self.now()
            while recent and recent[0] <= now - 1:
                recent.popleft()
            if per_s is not None and len(recent) >= per_s:
                return True
            recent.append(now)
            return False


def known_fields(fields: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """A copy of the fields. Raises `EditError` if one of them is not in `names`."""
    strange = sorted(set(fields) - set(names))
    if strange:
        raise EditError(f"unknown field {', '.join(strange)}; known are {', '.join(names)}")
    return dict(fields)


def _clean(value: Any) -> Any:
    match value:
        case dict():
            return {key: _clean(inner) for key, inner in value.items() if key not in _SECRETS}
        case list():
            return [_clean(inner) for inner in value]
        case _:
            return value
