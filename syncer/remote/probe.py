"""Finds out why a vendor cannot be reached, step by step: name, connection, certificate.

`doctor` uses it after a call has failed without an answer. No request is sent.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from syncer.remote.proxy import Proxy, proxy_for
from syncer.remote.transport import tls_context

#: The time limit of each step, in seconds.
PATIENCE = 5.0

Resolve = Callable[[str, int], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong, and how to fix it."""

    text: str
    fix: str


async def probe(
    base_url: str, ca_file: Path | None, *, resolve: Resolve | None = None, patience: float = PATIENCE
) -> Trouble | None:
    """The first step that fails, or None.

    Raises ConfigError if `ca_file` has no certificates.
    """
    parts = urlsplit(base_url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    resolve = resolve or asyncio.get_running_loop().getaddrinfo
    proxy = proxy_for(base_url, os.environ)
    if proxy is not None:
        return await _through(proxy, host, resolve, patience)
    found = await _look_up(host, port, resolve, patience)
    return found or await _connect(host, port, tls_context("", ca_file) if secure else None, patience)


async def _through(proxy: Proxy, host: str, resolve: Resolve, patience: float) -> Trouble:
    found = await _look_up(proxy.host, proxy.port, resolve, patience)
    found = found or await _connect(proxy.host, proxy.port, None, patience)
    why = (
        found.text
        if found
        else f"{proxy.host}, port {proxy.port}, takes connections, but does not lead to {host}"
    )
    return Trouble(
        f"the proxy in {proxy.variable}: {why}",
        f"check {proxy.variable} and NO_PROXY in the environment of this command and of the service",
    )


async def _look_up(host: str, port: int, resolve: Resolve, patience: float) -> Trouble | None:
    try:
        async with asyncio.timeout(patience):
            await resolve(host, port)
    except TimeoutError:
        why = "no answer in time"
    except socket.gaierror as error:
        why = (error.strerror or "unknown").lower()
    except (OSError, UnicodeError):
        why = "it is not a name"
    else:
        return None
    return Trouble(
        f"the name {host} cannot be looked up ({why})",
        f"is this machine on the network, and does its DNS work (try: getent hosts {host})? Is base_url spelled right?",
    )


async def _connect(host: str, port: int, context: ssl.SSLContext | None, patience: float) -> Trouble | None:
    """Connect without TLS first, to distinguish a TLS failure from a firewall."""
    where = f"{host}, port {port},"
    for step in (None, context) if context is not None else (None,):
        try:
            async with asyncio.timeout(patience):
                _, writer = await asyncio.open_connection(host, port, ssl=step)
            writer.close()
        except ssl.SSLCertVerificationError as error:
            return _untrusted(host, error)
        except ssl.SSLError as error:
            return Trouble(
                f"{where} speaks no TLS 1.2 or newer ({(error.reason or 'no TLS at all').replace('_', ' ').lower()})",
                "does base_url lead to the vendor? A proxy or filter in between may also break TLS",
            )
        except TimeoutError:
            what = "does not answer" if step is None else "takes the connection and then stays silent"
            return Trouble(
                f"{where} {what}", "a firewall on the way, perhaps: it has to let this machine out"
            )
        except ConnectionRefusedError:
            return Trouble(
                f"{where} refuses the connection", "is base_url right? Is the vendor in maintenance?"
            )
        except OSError as error:
            why = os.strerror(error.errno).lower() if error.errno else "the connection broke"
            return Trouble(f"{where} cannot be reached ({why})", "is this machine on the network?")
    return None


def _untrusted(host: str, error: ssl.SSLCertVerificationError) -> Trouble:
    reason = error.verify_message.rstrip(".")
    fix = "behind a proxy with a CA of its own: name its file in ca_file (SSL_CERT_FILE is not read). Otherwise stop: somebody may be intercepting the connection"
    if "expired" in reason or "not yet valid" in reason:
        fix = (
            "is the clock of this machine right (date -u)? If it is, the vendor has to renew its certificate"
        )
    elif "match" in reason:
        reason, fix = "it is for another name", "is base_url spelled as the vendor has it?"
    return Trouble(f"the certificate of {host} is not trusted ({reason})", fix)
