"""Logs for people and machines on stderr, without secrets and personal data.

Values under certain keys (names, numbers, addresses, secrets), all registered secrets, and everything in free text
that looks like a phone number or an email address are masked, also in tracebacks.
"""

from __future__ import annotations

import json as jsonlib
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Hashable, Mapping, MutableMapping
from datetime import date, timedelta
from enum import Enum
from pathlib import PurePath
from types import TracebackType
from typing import Any, Final, TextIO, TypeAlias, cast
from urllib.parse import quote, quote_plus

from syncer.core.secret import MASK, Secret
from syncer.lean import without

with without("rich"):
    import structlog
    from structlog.typing import EventDict, ExcInfo, FilteringBoundLogger, Processor

#: What `--log-level` takes.
LEVELS: Final = ("debug", "info", "warning", "error")

#: Libraries that log every request at INFO, some with full addresses or arguments.
_QUIET: Final = (
    "httpx",
    "httpcore",
    "apscheduler",
    "uvicorn",
    "alembic",
    "sqlalchemy",
    "asyncio",
    "markdown_it",
)

#: Values under a key that contains one of these words are masked: `user_password`, `callerPhone`.
_PRIVATE_WORDS: Final = frozenset([
    "secret", "password", "passwd", "token", "authorization", "cookie", "credential", "apikey", "phone",
    "mobile", "e164", "email", "address", "raw", "msg",
])  # fmt: skip
#: So are values under these keys. Other names (`table_name`, `job_name`) are not personal.
_PRIVATE_KEYS: Final = frozenset([
    "name", "first_name", "last_name", "full_name", "caller_name", "contact_name", "display_name",
    "company", "company_name", "job_title", "from_number", "phone_no", "voicename", "info", "tag",
])  # fmt: skip
#: Level -> priority in syslog and systemd's journal.
_PRIORITIES: Final = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}

_PLAIN_KEYS: Final = frozenset({"timestamp", "level", "logger"})

_WORD: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+")
_NUMBER: Final = re.compile(r"(?<![0-9A-Za-z.-])\+?[0-9]{10,15}(?![0-9A-Za-z])")
_EMAIL: Final = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")

#: Shorter secrets would mask ordinary words. No vendor has such short ones.
_SHORTEST_SECRET: Final = 4

_secrets: set[str] = set()
_pattern: re.Pattern[str] | None = None

_Write: TypeAlias = Callable[[str], object]


def register_secret(value: Secret | str) -> None:
    """Mask this text in every line from now on, also as encoded in a URL, JSON or a repr."""
    global _pattern, _secrets
    text = value.reveal() if isinstance(value, Secret) else value
    if len(text) < _SHORTEST_SECRET or not text.strip("."):
        return
    _secrets |= {text, repr(text)[1:-1], repr(text.encode())[2:-1]}
    _secrets |= {jsonlib.dumps(text)[1:-1], jsonlib.dumps(text, ensure_ascii=False)[1:-1]}
    _secrets |= {quote(text), quote(text, safe=""), quote_plus(text)}
    # The longest first: a secret may contain another one.
    _pattern = re.compile("|".join(re.escape(one) for one in sorted(_secrets, key=len, reverse=True)))


def scrub(text: str) -> str:
    """Mask registered secrets, phone numbers and email addresses in free text."""
    if _pattern is not None:
        text = _pattern.sub(MASK, text)
    return _NUMBER.sub("[number]", _EMAIL.sub("[email]", text))


def set_up_logs(level: str, environ: Mapping[str, str]) -> None:
    """Log to stderr: JSON unless it is a terminal, with priorities for systemd's journal."""
    terminal = sys.stderr.isatty()
    configure_logs(
        level,
        json=not terminal,
        priorities=is_journal(sys.stderr, environ),
        colors=terminal and not environ.get("NO_COLOR"),
    )


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether systemd's journal reads this stream, by `$JOURNAL_STREAM` (systemd.exec(5))."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def configure_logs(
    level: str,
    *,
    json: bool,
    priorities: bool = False,
    colors: bool = False,
    stream: TextIO | None = None,
) -> None:
    """Send all logs, of the program and its libraries, to `stream` (None: the current stderr).

    `level` is one of `LEVELS`, in any case; otherwise ValueError. With `priorities`, each line starts with its
    priority by sd-daemon(3), `<3>` for an error. May be called again.
    """
    if level.lower() not in LEVELS:
        raise ValueError(f"{level!r} is not a log level; use one of {', '.join(LEVELS)}")
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer = _renderer(json=json, priorities=priorities, colors=colors)
    _configure_structlog(number, renderer, stream)

    handler = _Handler(renderer, _writer(stream))
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(number)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        # uvicorn has its own handlers, and its access lines contain full addresses.
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    logging.getLogger("uvicorn.access").setLevel(logging.CRITICAL)


def get_logger(**bind: object) -> FilteringBoundLogger:
    """A logger that adds these values to every line. It may be created before `configure_logs`."""
    return cast(FilteringBoundLogger, structlog.get_logger(**bind))


class Edges:
    """Logs when something starts to fail and when it recovers, and nothing in between."""

    def __init__(self) -> None:
        self._failures: dict[Hashable, int] = {}

    def failing(self, key: Hashable, log: FilteringBoundLogger, event: str, **kw: object) -> bool:
        """Count a failure of `key`, and log the first as a warning. Returns whether it was the first."""
        count = self._failures.get(key, 0) + 1
        self._failures[key] = count
        if count == 1:
            log.warning(event, **kw)
        return count == 1

    def recovered(self, key: Hashable, log: FilteringBoundLogger, event: str, **kw: object) -> bool:
        """Log once that `key` works again, with the number of failures. Returns whether it had failed."""
        failures = self._failures.pop(key, 0)
        if failures:
            log.info(event, failures=failures, **kw)
        return failures > 0


def _configure_structlog(level: int, renderer: list[Processor], stream: TextIO | None = None) -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Logger(_writer(stream)),
        cache_logger_on_first_use=False,
    )


def _renderer(*, json: bool, priorities: bool = False, colors: bool = False) -> list[Processor]:
    render: Processor
    if json:
        render = structlog.processors.JSONRenderer(ensure_ascii=False)
        stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    else:
        # structlog's default traceback shows the values of all local variables.
        render = structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=structlog.dev.plain_traceback, sort_keys=False
        )
        stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
    if priorities:
        render = _Priority(render)
    return [stamp, structlog.processors.ExceptionRenderer(_trace), _mask, render]


class _Priority:
    """Adds a line's priority in front, for the journal."""

    def __init__(self, render: Processor) -> None:
        self._render = render

    def __call__(self, logger: Any, method: str, event: EventDict) -> str:
        priority = _PRIORITIES.get(event["level"], 6)
        return f"<{priority}>{self._render(logger, method, event)!s}"


def _trace(exc_info: ExcInfo) -> str:
    kind, error, trace = exc_info
    return "".join(traceback.format_exception(kind, error, trace)).rstrip()


def _mask(_: object, __: str, event: EventDict) -> EventDict:
    return {key: value if key in _PLAIN_KEYS else _clean(value, key) for key, value in event.items()}


def _clean(value: Any, key: str = "") -> Any:
    if value is None or isinstance(value, bool):
        return value
    if _is_private(key):
        return MASK
    match value:
        case int() | float() if not isinstance(value, Enum):
            return value
        case str():
            return scrub(str(value))
        case Mapping():
            return {scrub(str(inner)): _clean(one, str(inner)) for inner, one in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_clean(one) for one in value]
        case date() | timedelta() | PurePath() | BaseException():
            return scrub(str(value))
        case _:
            return scrub(repr(value))


def _is_private(key: str) -> bool:
    if not key:
        return False
    return key.lower() in _PRIVATE_KEYS or any(word.lower() in _PRIVATE_WORDS for word in _WORD.findall(key))


def _writer(stream: TextIO | None) -> _Write:
    def write(line: str) -> None:
        target = sys.stderr if stream is None else stream
        try:
            target.write(line + "\n")
            target.flush()
        except (OSError, ValueError):
            # The reader is gone, the disk is full or the stream is closed. This cannot be reported, and a sync must
            # not fail because of its log.
            return

    return write


class _Logger:
    """The end of structlog's chain: each level writes one finished line."""

    def __init__(self, write: _Write) -> None:
        self._write = write

    def msg(self, line: str) -> None:
        self._write(line)

    debug = info = warning = error = critical = exception = fatal = log = msg


class _Handler(logging.Handler):
    """Masks and writes the libraries' log records like our own lines."""

    def __init__(self, renderer: list[Processor], write: _Write) -> None:
        super().__init__()
        self._renderer = renderer
        self._write_line = write

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            text = str(record.msg)  # its arguments do not match it and are left out
        event: Any = {"event": text, "level": record.levelname.lower(), "logger": record.name}
        info: tuple[type[BaseException], BaseException, TracebackType | None] | None
        info = cast(Any, record.exc_info) if record.exc_info and record.exc_info[1] else None
        if info:
            event["exc_info"] = info
        for process in self._renderer:
            event = process(None, record.levelname.lower(), cast(MutableMapping[str, Any], event))
        self._write_line(str(event))


# Before `configure_logs` is called, structlog would print to stdout, with local variables.
_configure_structlog(logging.INFO, _renderer(json=False))
