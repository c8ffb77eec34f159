"""`doctor --report`: a file for a maintainer, about the machine, the mirror and the vendors' responses.

It contains counts, types and our own messages, but no values, names, numbers, addresses, paths or secrets.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

from syncer import __version__
from syncer.cli.findings import Finding
from syncer.cli.output import seconds_since, span
from syncer.core.shapes import Line, Shape, compare
from syncer.errors import StoreError
from syncer.logs import scrub
from syncer.remote.documented import PROMISES
from syncer.remote.wire import Answer, NotJson

if TYPE_CHECKING:
    from syncer.config import Account, Settings
    from syncer.store.db.connection import Connection

#: A path in a message.
_PATH = re.compile(r"(?<![\w:/])~?(?:/[^\s,;:()'\"]+)+/?")
_URL = re.compile(r"https?://[^\s,;()'\"]+")

HEAD = """\
syncer's report for a maintainer
It shows what kinds of values the vendors send, and none of the values. Accounts are numbered; paths and addresses
are left out. Please read it before you send it.
"""


@dataclass(slots=True)
class ResponseShapes:
    """The shapes of the responses to `doctor`, by source and call."""

    shapes: dict[tuple[str, str], Shape] = field(default_factory=dict)
    ended: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)

    def take(self, source: str, call: str, answer: Answer) -> None:
        """Note one answer."""
        key = (source, call)
        body = answer.body
        how = f"HTTP {answer.status}"
        if isinstance(body, NotJson):
            how += f", not JSON ({body.kind})"
        else:
            code = body.get("code") if isinstance(body, dict) else None
            if isinstance(code, int) and 0 <= code < 1000:
                how += f", code {code}"
            self.shapes.setdefault(key, Shape()).add(body, PROMISES.get(call, {"": "object"}))
        self.ended.setdefault(key, Counter())[how + ("" if answer.server_date else ", no Date")] += 1


def write_report(
    file: BinaryIO, settings: Settings, findings: Sequence[Finding], shapes: ResponseShapes, stamp: str
) -> None:
    """Write the whole report."""
    hide = _hider(settings)
    for line in (*HEAD.splitlines(), "", *_lines(settings, findings, shapes, stamp, hide)):
        file.write(f"{line.rstrip()}\n".encode())


def _lines(
    settings: Settings,
    findings: Sequence[Finding],
    shapes: ResponseShapes,
    stamp: str,
    hide: Callable[[str], str],
) -> Iterator[str]:
    yield from _machine(stamp)
    yield from _accounts(settings)
    yield from _database(settings, stamp, hide)
    yield "== What doctor found"
    for one in findings:
        yield f"{one.level:<8} {hide(one.about)}: {hide(one.text)}"
    yield ""
    for (source, call), ended in sorted(shapes.ended.items()):
        answers = "; ".join(f"{how} (x{number})" for how, number in ended.most_common())
        yield f"== {hide(source)}, {call}: {answers}"
        shape = shapes.shapes.get((source, call))
        if shape is not None:
            yield from (_compared(line) for line in compare(shape, PROMISES.get(call, {"": "object"})))
        yield ""


def _compared(line: Line) -> str:
    mark = " " if line.verdict == "as documented" else "!"
    seen = ", ".join(f"{kind} (x{number})" for kind, number in line.seen)
    parts = [seen or "never there", f"absent in {line.absent}" if line.absent and seen else ""]
    promised = line.promised.removeprefix("?") or "nothing"
    if line.promised.startswith("?"):
        promised += ", or absent"
    verdict = line.verdict if line.verdict == "as documented" else f"{line.verdict.upper()} ({promised})"
    return f"{mark} {line.place or '(the answer)':<38} {'; '.join(filter(None, parts))}  -- {verdict}"


def _machine(stamp: str) -> Iterator[str]:
    from syncer.store.db.integrity import sqlite_version

    yield "== The machine"
    yield f"syncer {__version__}, Python {platform.python_version()}, SQLite {sqlite_version()}"
    yield f"{platform.system()} on {platform.machine()}, at {stamp}"
    yield f"under systemd: {'yes' if 'INVOCATION_ID' in os.environ else 'no'}"
    yield f"file names: {sys.getfilesystemencoding()}"
    yield ""


def _accounts(settings: Settings) -> Iterator[str]:
    yield "== The accounts"
    names = _numbered(settings)
    for account in settings.accounts:
        known = names[account.label]
        yield f"{known}: {_where(account)}, credentials: {', '.join(account.secrets()) or 'none'}"
        yield (
            f"  {account.requests_per_second:g} requests a second, timeout {account.timeout.total_seconds():g} s, "
            f"region {account.region}, max_deletions {account.max_deletions:.0%}"
            + (", an own CA" if account.ca_file else "")
        )
        for name, job in account.jobs().items():
            yield f"  {name}: {f'every {span(job.every.total_seconds())}' if job.enabled else 'off'}"
    yield ""


def _where(account: Account) -> str:
    if account.base_url == type(account)().base_url:
        return "the vendor's usual address"
    host = urlsplit(account.base_url).hostname or ""
    return "this machine" if host in ("localhost", "127.0.0.1", "::1") else "an address of its own"


def _database(settings: Settings, stamp: str, hide: Callable[[str], str]) -> Iterator[str]:
    from syncer.store.db import revision
    from syncer.store.db.connection import Database

    yield "== The database"
    path = settings.database.path
    if not path.exists():
        yield "there is none yet"
        yield ""
        return
    try:
        with Database(path, group=settings.database.group, create=False) as db:
            if not revision.is_current(db):
                yield "its schema is older than this version"
            else:
                with db.read() as conn:
                    yield from _figures(conn, path, settings, stamp, hide)
    except StoreError as error:
        yield f"it cannot be read: {hide(str(error))}"
    yield ""


def _figures(
    conn: Connection, path: Path, settings: Settings, stamp: str, hide: Callable[[str], str]
) -> Iterator[str]:
    """The sizes of the mirror, and the last run of each job with its message."""
    from syncer.store.db import revision
    from syncer.store.read import metric_queries, status_queries

    now = datetime.fromisoformat(stamp)
    yield f"schema {revision.HEAD}"
    for name, _, size in metric_queries.file_sizes(path):
        yield f"{name}: {size / 1024**2:,.1f} MiB"
    for table, rows in status_queries.row_counts(conn).items():
        yield f"rows of {table}: {rows}"
    queue = ", ".join(f"{state} {n}" for state, n in status_queries.queue_counts(conn).items() if n)
    yield f"queue: {queue or 'empty'}"
    labels = _numbered(settings)
    for (job, account), facts in sorted(status_queries.jobs(conn).items()):
        known = next(
            (n for label, n in labels.items() if label == f"{job.partition('-')[0]}.{account}"), "of old"
        )
        age = seconds_since(facts["finished_at"], now) if facts["finished_at"] else None
        yield (
            f"{job}, {known}: {facts['outcome'] or 'never ended'}"
            + (f" {span(age)} ago" if age is not None else "")
            + (f", failures in a row: {facts['failures']}" if facts["failures"] else "")
            + (f": {hide(str(facts['error']))}" if facts["error"] else "")
        )
    for one in status_queries.set_aside_counts(conn):
        yield f"set aside by {one['job']}: {one['rows']} rows, such as: {hide(str(one['reason']))}"
    for one in status_queries.list_holds(conn):
        yield f"held for {one['job']}: {one['rows']} rows"


def _numbered(settings: Settings) -> Mapping[str, str]:
    """Label -> the name of an account in the report. Its real name may be a company's."""
    counts: Counter[str] = Counter()
    out = {}
    for account in settings.accounts:
        counts[account.kind] += 1
        out[account.label] = f"{account.kind} {counts[account.kind]}"
    return out


def _hider(settings: Settings) -> Callable[[str], str]:
    """A function that removes paths, addresses and names of accounts from our own messages."""
    words = dict(_numbered(settings))
    for account in settings.accounts:
        words[account.base_url] = "(address)"
        host = urlsplit(account.base_url).hostname
        if host:
            words[host] = "(address)"
    paths = [settings.path, settings.database.path, settings.backup.path]
    for path in (one for one in paths if one is not None):
        words[str(path)] = "(path)"
        words[str(path.parent)] = "(path)"
        words[path.name] = "(file)"
    words.pop("/", None)
    words.pop("", None)
    pattern = re.compile("|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)))

    def hide(text: str) -> str:
        text = pattern.sub(lambda hit: words[hit[0]], scrub(text))
        return _PATH.sub("(path)", _URL.sub("(address)", text))

    return hide
