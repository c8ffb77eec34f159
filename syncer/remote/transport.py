"""Connections to one vendor: httpx's pool, TLS, and proxies."""

from __future__ import annotations

import re
import ssl
from functools import cache
from pathlib import Path

import httpx

from syncer.errors import ConfigError
from syncer.remote.proxy import Proxy

#: How long an idle connection is kept, in seconds.
_KEEP = 5.0

#: The names of certificates in a folder that OpenSSL searches.
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")


def connect(
    source: str, base_url: str, *, ca_file: Path | None, connections: int, proxy: Proxy | None
) -> httpx.AsyncBaseTransport:
    """A pool of at most `connections`. ConfigError if `ca_file` has no certificates."""
    secure = base_url.lower().startswith("https:") or (proxy is not None and proxy.scheme == "https")
    # Without TLS, no certificates are needed.
    tls = tls_context(source, ca_file) if secure or ca_file else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    via = None
    if proxy is not None:
        own_tls = tls if proxy.scheme == "https" else None
        via = httpx.Proxy(proxy.url, auth=proxy.auth, ssl_context=own_tls)
    limits = httpx.Limits(
        max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=_KEEP
    )
    return httpx.AsyncHTTPTransport(verify=tls, trust_env=False, limits=limits, proxy=via)


def tls_context(source: str, ca_file: Path | None) -> ssl.SSLContext:
    """Verification, and TLS 1.2 or newer. Trusts the system's certificates and the given file.

    `SSL_CERT_FILE`, `SSL_CERT_DIR` and `SSLKEYLOGFILE` are ignored, so a command and the service trust the same
    certificates.
    """
    if ca_file is None:
        return _usual_tls()
    context = _new_tls()
    try:
        context.load_verify_locations(cafile=ca_file)
    except OSError:
        problem = f"{source}.ca_file: no readable PEM certificates there; name the file of your CA"
    else:
        return context
    raise ConfigError([problem])


def _new_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # unlike `create_default_context`, reads no environment
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    paths = ssl.get_default_verify_paths()
    file, folder = Path(paths.openssl_cafile), Path(paths.openssl_capath)
    searchable = folder.is_dir() and any(_HASHED.fullmatch(one.name) for one in folder.iterdir())
    if searchable:  # certificates are read when needed; reading all of them takes 50 ms
        context.load_verify_locations(capath=folder)
    elif file.is_file():
        context.load_verify_locations(cafile=file)
    else:
        import certifi

        context.load_verify_locations(cafile=certifi.where())
    return context


@cache
def _usual_tls() -> ssl.SSLContext:
    return _new_tls()
