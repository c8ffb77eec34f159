"""The proxy for an address from the environment, as curl reads it.

Nothing else comes from the environment: no `.netrc`, no certificates, no key log.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from syncer.errors import ConfigError

#: The default port of a proxy, by its scheme.
_PORTS = {"http": 1080, "https": 443}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and the variable that named it. Its value may contain a password, so no message quotes it."""

    variable: str
    scheme: str  #: the protocol to the proxy itself: `http` or `https`
    host: str
    port: int
    auth: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Its address, without the credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def proxy_for(url: str, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy for this address, or None for a direct connection. This machine is always direct.

    Read from `https_proxy` (or `http_proxy`, by the address's scheme), then `all_proxy`, each in lower case before
    upper case. `no_proxy` lists hosts without a proxy. Raises ConfigError, with the variable's name, if the value
    is not a usable proxy.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None  # the call itself reports what is wrong with the address
    if _is_loopback(host):
        return None
    for name in (f"{parts.scheme}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            value = _trimmed(environ.get(variable, ""))
            if value:
                excluded = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
                return None if _listed(host, port, excluded) else _read(variable, value, host)
    return None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _trimmed(value: str) -> str:
    return value.strip(" \t\r\n\"'")


def _read(variable: str, value: str, host: str) -> Proxy:
    advice = f"set {variable} to http://HOST:PORT, unset it, or list {host} in NO_PROXY"
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        name, port = parts.hostname or "", parts.port
    except ValueError:
        name, port = "", None
    else:
        if re.fullmatch(r"socks\w*", parts.scheme):
            raise ConfigError(
                [f"{variable} in the environment names a SOCKS proxy, which is not supported; {advice}"]
            )
    if not re.fullmatch(r"[\w.-]+|[0-9a-f:.]+", name, re.ASCII) or parts.scheme not in _PORTS:
        raise ConfigError([f"{variable} in the environment is not the address of an HTTP proxy; {advice}"])
    auth = None
    if parts.username is not None:
        auth = (unquote(parts.username), unquote(parts.password or ""))
    return Proxy(variable, parts.scheme, name, port or _PORTS[parts.scheme], auth)


def _listed(host: str, port: int | None, excluded: str) -> bool:
    """Whether `no_proxy` matches this host: `*`, a name (with its subdomains), an address, a network."""
    entries = [_trimmed(entry).lower() for entry in re.split(r"[\s,]+", _trimmed(excluded))]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return any(_covers(entry, host.rstrip("."), port) for entry in entries)
    return any(entry == "*" or _holds(entry, address) for entry in entries)


def _covers(entry: str, host: str, port: int | None) -> bool:
    name, _, only = entry.partition(":")
    if only and only != str(port or ""):
        return False
    name = name.removeprefix("*").strip(".")
    return entry == "*" or (name != "" and (host == name or host.endswith(f".{name}")))


def _holds(entry: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return address in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return False
