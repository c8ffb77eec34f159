"""Parsers for values of the config: durations, sizes, percentages, addresses.

They raise ValueError with the rest of a sentence that starts with the key. No message quotes the value, because a
secret may have been pasted into the wrong line.
"""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Final
from urllib.parse import SplitResult, urlsplit

_DURATION: Final = re.compile(r"([0-9]{1,12})([smhd])")
_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE: Final = re.compile(r"([0-9]{1,12}) ?(KB|MB|GB|TB)")
_BYTES: Final = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_LONGEST: Final = timedelta(days=36500)

_HOW_DURATION: Final = 'write a number and a unit, such as "90s", "5m", "24h" or "7d"'


def parse_duration(text: object) -> timedelta:
    """Read `"90s"`, `"5m"`, `"24h"` or `"7d"`: whole, positive, at most 100 years."""
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"is not a duration; {_HOW_DURATION}")
    seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds == 0:
        raise ValueError('must be "1s" or more')
    if seconds > _LONGEST.total_seconds():
        raise ValueError(f'is too long; the maximum is "{_LONGEST.days}d"')
    return timedelta(seconds=seconds)


def format_duration(span: timedelta) -> str:
    """Write a duration in the largest unit that fits evenly: the inverse of `parse_duration`."""
    seconds = int(span.total_seconds())
    unit = next(unit for unit in "dhms" if seconds % _SECONDS[unit] == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"


def parse_since(value: object) -> timedelta | datetime:
    """Read a duration, or a date (`2026-01-31`, quoted or not) as its midnight in UTC."""
    if isinstance(value, str):
        with suppress(ValueError):  # if it is not a date, it has to be a duration
            value = date.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    try:
        return parse_duration(value)
    except ValueError as error:
        if str(error).startswith("is not a duration"):
            raise ValueError(
                'is neither a duration nor a date; write for example "30d" or "2026-01-31"'
            ) from None
        raise


def parse_percent(text: object) -> float:
    """Read `"10%"` as 0.1; from 0 to 100."""
    match = _PERCENT.fullmatch(text) if isinstance(text, str) else None
    if match is None or float(match[1]) > 100:
        raise ValueError(
            'is not a percentage; write a number from 0 to 100 and a %-sign in quotes, such as "10%"'
        )
    return float(match[1]) / 100


class Size(int):
    """A number of bytes that the config writes with a unit."""


def parse_size(text: object) -> Size:
    """Read `"500MB"` or `"5GB"`, in powers of ten, as bytes: whole, positive, at most 1000 TB."""
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError('is not a size; write a number and a unit, such as "500MB" or "5GB"')
    size = int(match[1]) * _BYTES[match[2]]
    if size == 0:
        raise ValueError('must be "1KB" or more')
    if size > 10**15:
        raise ValueError('is too large; the maximum is "1000TB"')
    return Size(size)


def format_size(size: Size) -> str:
    """Write a size in the largest unit that fits evenly: the inverse of `parse_size`."""
    unit = next((unit for unit in reversed(_BYTES) if size % _BYTES[unit] == 0), "KB")
    return f"{size // _BYTES[unit]}{unit}"


def parse_listen(text: object) -> tuple[str, int]:
    """Read `"127.0.0.1:9464"` or `"[::1]:9464"` as a host and a port."""
    how = 'write a host and a port from 1 to 65535, such as "127.0.0.1:9464"'
    if not isinstance(text, str):
        raise ValueError(f"is not an address; {how}")
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    bracketed = host == f"[{bare}]"
    if not colon or not bare or re.search(r"[\s/@\[\]]", bare) or (":" in bare) != bracketed:
        raise ValueError(f"is not an address; {how}")
    if re.fullmatch(r"[0-9]{1,5}", port) is None or not 1 <= int(port) <= 65535:
        raise ValueError(f"has a bad port; {how}")
    return bare, int(port)


def parse_hosts(value: object) -> frozenset[str]:
    """Read `["localhost", "[::1]"]`: names and addresses, without a port, in lower case."""
    how = 'write for example ["localhost", "sync.example.com", "[::1]"], without a port'
    if not isinstance(value, list) or not value:
        raise ValueError(f"is not a list of hosts; {how}")
    for host in value:
        name = r"[\w.-]+|\[[0-9a-fA-F:.]+\]"
        if not isinstance(host, str) or not re.fullmatch(name, host, re.ASCII):
            raise ValueError(f"names something that is not a host; {how}")
    return frozenset(host.lower() for host in value)


def is_loopback(host: str) -> bool:
    """Whether a host of a URL is this machine: `localhost`, 127.0.0.0/8 or ::1."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def web_address(text: object, how: str) -> tuple[str, SplitResult]:
    """An http or https address with a host, as written and in parts. `how` ends the message about any other value."""
    if isinstance(text, str) and not re.search(r"[\s\x00-\x1f\x7f\\]", text):
        with suppress(ValueError):
            parts = urlsplit(text)
            if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
                return text, parts
    raise ValueError(f"is not a web address; {how}")


def require_tls(parts: SplitResult, exposed: str) -> None:
    """Raise ValueError for plain http beyond loopback, which would show `exposed` to the network."""
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError(
            f"is plain http, which would show {exposed} to the network; write https:// "
            "(plain http is allowed for 127.0.0.1, ::1 and localhost only)"
        )


def parse_base_url(value: object) -> str:
    """Check a vendor's address: http(s), a host, nothing after the path. Plain http only for loopback."""
    how = 'write for example "https://rest.example.com"'
    text, parts = web_address(value, how)
    if "?" in text or "#" in text:
        raise ValueError(f"has a query or a fragment; {how}")
    if "@" in parts.netloc:
        raise ValueError("holds a login; give credentials under their own keys")
    require_tls(parts, "the credentials")
    return text.rstrip("/")


def parse_page_url(text: object) -> str:
    """Check the address at which people reach the page: https (plain http on this machine alone), no path."""
    how = 'write for example "https://sync.example.com"'
    try:
        found = parse_base_url(text)
    except ValueError as error:
        if isinstance(text, str) and text.startswith("http:"):
            raise ValueError(
                "is plain http, over which browsers send no form of the page; put a proxy with TLS in front and write https://"
            ) from None
        raise ValueError(str(error).partition(";")[0] + f"; {how}") from None
    if urlsplit(found).path:
        raise ValueError(f"has a path, and the page can only be served at the root of a host; {how}")
    return found


def parse_ping_url(value: object) -> str:
    """Check an address to call after a good run. A query and plain http are allowed."""
    text, _ = web_address(value, 'write for example "https://ping.example.com/some-check"')
    return text


def parse_webhook(value: object) -> str:
    """Check the address of a webhook: https unless on loopback. It may have a query."""
    how = 'write for example "https://hooks.example.com/desk"'
    text, parts = web_address(value, how)
    if "@" in parts.netloc:
        raise ValueError("holds a login; use an address without one, and sign the webhook with `secret`")
    if parts.fragment:
        raise ValueError(f"has a fragment; {how}")
    require_tls(parts, "names and numbers")
    return text


def parse_database_url(text: object) -> str:
    """Read the path from `sqlite:///syncer.db` (relative) or `sqlite:////var/lib/x.db` (absolute)."""
    how = 'write "sqlite:///syncer.db" (next to this file) or "sqlite:////var/lib/syncer/syncer.db"'
    if not isinstance(text, str) or not text.startswith("sqlite:///"):
        raise ValueError(f"is not a SQLite address; {how}")
    path = text.removeprefix("sqlite:///")
    if not path or path.endswith("/") or ":memory:" in path or re.search(r"[\x00-\x1f\x7f]", path):
        raise ValueError(f"names no file; {how}")
    if "?" in path or path.startswith("file:"):
        raise ValueError(f"takes no options; {how}")
    return path


def parse_app_id(value: object) -> int:
    """Read TeleCMI's app id: a positive whole number, quoted or not."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 10**18:
        raise ValueError("is not an app id; write the number from the vendor's dashboard, such as 1111113")
    return value


def parse_stamp_format(text: object) -> str:
    """Check a strftime pattern: it must distinguish one second from the next."""
    usable = False
    if isinstance(text, str) and text.isascii() and text.isprintable():
        first = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        others = (timedelta(seconds=1), timedelta(hours=1), timedelta(days=1), timedelta(days=31))
        usable = all(first.strftime(text) != (first + step).strftime(text) for step in others)
    if not usable or not isinstance(text, str):
        raise ValueError('is not a usable time pattern; write for example "%Y-%m-%d %H:%M:%S"')
    return text
