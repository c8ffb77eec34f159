"""The tables of the config for what leaves the mirror: `[notify.NAME]`, `[lookup.NAME]`, `[publish.NAME]`."""

from __future__ import annotations

import base64
import importlib.util
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, Final
from urllib.parse import parse_qsl, urlsplit

from syncer.config import units
from syncer.config.keys import key, secret, yes_no
from syncer.config.schema import Job, Named
from syncer.config.secrets import ways
from syncer.core import access
from syncer.core.notifications import EVENTS
from syncer.core.secret import Secret


def _events(value: object) -> tuple[str, ...]:
    known = ", ".join(f'"{event}"' for event in EVENTS)
    if not isinstance(value, list) or not value:
        raise ValueError(f"must be a list of events; write some of {known}")
    for event in value:
        if event not in EVENTS:
            raise ValueError(f"names an event that does not exist; the events are {known}")
    return tuple(event for event in EVENTS if event in value)


def _webhook(value: object) -> Secret:
    return Secret(units.parse_webhook(value))


def _command(value: object) -> tuple[str, ...]:
    how = 'write a list such as ["/usr/local/bin/tell", "desk"]'
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise ValueError(f"must be a list of texts, the program first; {how}")
    if not value[0] or any("\0" in one for one in value):
        raise ValueError(f"names no program; {how}")
    return tuple(value)


@dataclass(frozen=True)
class Delivery(Job):
    """How often the job of a target runs when nothing new has to be sent."""

    needs = ()

    every: timedelta = timedelta(minutes=5)


@dataclass(frozen=True)
class NotifyTarget(Named):
    """`[notify.NAME]`: a target of notifications about voicemails, missed calls and changes that wait for a person."""

    kind = "notify"
    #: A target has exactly one of these keys.
    WAYS: ClassVar[tuple[str, ...]] = ("webhook", "command", "apprise")

    on: tuple[str, ...] = key(_events, EVENTS)
    webhook: Secret | None = key(_webhook, None)  # an address often holds a key
    command: tuple[str, ...] | None = key(_command, None)  # gets the JSON on its standard input
    apprise: Secret | None = secret()
    secret: Secret | None = secret()  # signs the webhook
    private: bool = key(yes_no, False)  # row ids and counts only
    max_age: timedelta = key(units.parse_duration, timedelta(days=1))  # nothing older is reported
    delivery: Delivery = field(default=Delivery())

    @property
    def way(self) -> str:
        """How it is reached: "webhook", "command" or "apprise"."""
        # If none is set, it is the secret `apprise`, which was not read.
        return next((way for way in self.WAYS if getattr(self, way) is not None), "apprise")

    def faults(self, bad: frozenset[str]) -> Iterator[str]:
        """Errors of the table as a whole. The keys in `bad` are reported already."""
        given = [way for way in self.WAYS if getattr(self, way) is not None]
        if len(given) > 1:
            yield f"{self.label} has {' and '.join(given)}; keep one of them, and give the other a section of its own."
        elif not given and not bad & {*self.WAYS, *(f"{way}_file" for way in self.WAYS)}:
            yield (
                f'{self.label} reaches nobody; write webhook = "https://...", command = ["..."] or apprise = "..." '
                "below it."
            )
        if self.apprise is not None and importlib.util.find_spec("apprise") is None:
            yield f"{self.label}.apprise needs a package that is not installed: pip install 'syncer[apprise]'."
        if self.secret is not None:
            if given and self.webhook is None:
                yield f"{self.label}.secret signs webhooks, and {self.label} has none; remove the key."
            elif signing_key(self.secret) is None:
                yield (
                    f'{self.label}.secret is not a webhook secret; write "whsec_" and 24 to 64 random bytes in '
                    "base64, as the receiver shows it."
                )


#: The prefix of a signing secret (Standard Webhooks).
PREFIX: Final = "whsec_"


def signing_key(secret: Secret) -> bytes | None:
    """The key in a `whsec_` secret; None if it is not 16 to 64 bytes in base64."""
    text = secret.reveal()
    if not text.startswith(PREFIX):
        return None
    try:
        found = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except ValueError:
        return None
    return found if 16 <= len(found) <= 64 else None


@dataclass(frozen=True)
class LookupKey(Named):
    """`[lookup.NAME]`: a PBX or phones that may look up callers and read the phonebooks."""

    kind = "lookup"
    needs_pages = True

    key: Secret | None = secret()

    def faults(self, bad: frozenset[str]) -> Iterator[str]:
        """A missing or unusable key."""
        if self.key is None:
            if not bad & {"key", "key_file"}:
                yield f"{self.label}.key is missing; {ways(self.kind, self.name, 'key')}."
        elif reason := access.unusable(self.key.reveal()):
            yield f"{self.label}.key {reason}."

    @classmethod
    def faults_between(cls, found: Sequence[Named]) -> Iterator[str]:
        """Tables with the same key, which could not be limited or revoked separately."""
        owners: dict[Secret, str] = {}
        for one in found:
            for known in one.secrets().values():
                if (other := owners.setdefault(known, one.label)) != one.label:
                    yield f"{other} and {one.label} have the same key; give each a key of its own."


def _postgres_url(value: object) -> str:
    how = 'write for example "postgresql+psycopg://syncer@db.example.com/office"'
    if not isinstance(value, str) or re.search(r"[\s\x00-\x1f\x7f\\]", value):
        raise ValueError(f"is not an address of PostgreSQL; {how}")
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("postgresql+psycopg", "postgresql", "postgres") and parts.port != 0
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        usable, options = False, {}
    if not usable or not value.partition("://")[2] or parts.fragment:
        raise ValueError(f"is not an address of PostgreSQL; {how}")
    if parts.password is not None or "password" in options:
        raise ValueError("holds a password; write it as `password`, which is kept out of messages and logs")
    if not parts.path.strip("/") and "dbname" not in options:
        raise ValueError(f"names no database; {how}")
    return value


def _schema(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", value):
        raise ValueError(
            "is not the name of a schema; use small letters, digits and '_', a letter first, at most 63"
        )
    if value.startswith("pg_") or value == "information_schema":
        raise ValueError("is a schema of PostgreSQL's own; name another one")
    return value


def _site(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", value):
        raise ValueError(
            "is not a valid name of a site; use letters, digits, '-', '_' and '.', a letter or digit first, at most 64"
        )
    return value


@dataclass(frozen=True)
class Publishing(Job):
    """How often the job of a published copy runs when nothing changes."""

    needs = ("password",)

    every: timedelta = timedelta(seconds=10)


@dataclass(frozen=True)
class PublishTarget(Named):
    """`[publish.NAME]`: a copy of the mirror in PostgreSQL."""

    kind = "publish"

    url: str = key(_postgres_url, "")
    password: Secret | None = secret()
    schema: str = key(_schema, "syncer")
    site: str = key(_site, "main")
    every: timedelta = key(units.parse_duration, timedelta(seconds=10))
    edits: bool = key(yes_no, False)  # take edits from the table `contact_edits` there

    @property
    def publish(self) -> Publishing:
        """Its job."""
        return Publishing(enabled=True, every=self.every)

    def jobs(self) -> dict[str, Job]:
        """Its job, by section."""
        return {"publish": self.publish}

    def faults(self, bad: frozenset[str]) -> Iterator[str]:
        """A missing address, or a missing driver."""
        if not self.url and "url" not in bad:
            yield (
                f"{self.label}.url is missing; write for example "
                '"postgresql+psycopg://syncer@db.example.com/office".'
            )
        if importlib.util.find_spec("psycopg") is None:
            yield f"{self.label} needs a package that is not installed: pip install 'syncer[postgres]'."

    @classmethod
    def faults_between(cls, found: Sequence[Named]) -> Iterator[str]:
        """Tables that publish the same site into the same schema: each would undo the other's work."""
        owners: dict[tuple[str, str, str], str] = {}
        for one in found:
            assert isinstance(one, PublishTarget)
            place = (one.url, one.schema, one.site)
            if one.url and (other := owners.setdefault(place, one.label)) != one.label:
                yield f"{other} and {one.label} are the same copy; remove one, or give it a `site` of its own."


#: The tables that exist once per target, by the first word of the heading.
TARGETS: dict[str, type[Named]] = {"notify": NotifyTarget, "lookup": LookupKey, "publish": PublishTarget}
