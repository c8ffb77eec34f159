"""Unpacks compressed bodies up to a limit, and only one layer, so that a small answer cannot fill the memory.

httpx unpacks without a limit.
"""

from __future__ import annotations

import re
import zlib

#: The largest answer that is read, in bytes, packed and unpacked. A page of 100 rows is far smaller.
LARGEST_ANSWER = 32 * 1024 * 1024

#: The most parts of a compressed answer. Some tools write one for each 64 KiB.
_MOST_PARTS = 4096

#: zlib's parameter for each format (zlib.net/manual.html, inflateInit2).
_GZIP, _ZLIB, _RAW = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS


class DamagedError(Exception):
    """The compressed data is damaged or cut: a transmission error."""


class RefusedError(Exception):
    """The body exceeds a limit; its text says which."""


def unpack(raw: bytes | bytearray, encoding: str) -> bytes | bytearray:
    """Unpack data with the `Content-Encoding` `encoding`. Raises DamagedError and RefusedError."""
    names = [name for name in re.split(r"[\s,]+", encoding.lower()) if name not in ("", "identity")]
    if len(raw) > LARGEST_ANSWER:
        raise RefusedError(_TOO_LARGE)
    if not names or not raw:
        return raw
    if len(names) > 1:
        raise RefusedError("an answer that is compressed more than once")
    match names[0]:
        case "gzip" | "x-gzip":
            wbits = _GZIP
        case "deflate":  # with zlib's header, as specified, or without it
            headed = raw[0] & 0x0F == 8 and int.from_bytes(raw[:2], "big") % 31 == 0
            wbits = _ZLIB if headed else _RAW
        case "br" | "zstd" | "compress" | "x-compress" as name:
            raise RefusedError(f"an answer that is compressed with {name}, which was not asked for")
        case _:
            raise RefusedError("an answer in an unknown Content-Encoding")
    try:
        return _inflate(raw, wbits)
    except zlib.error:
        raise DamagedError from None


def _inflate(raw: bytes | bytearray, wbits: int) -> bytearray:
    out = bytearray()
    view = memoryview(raw)
    at = parts = 0
    # More parts may follow gzip's first one; anything else is padding.
    while parts == 0 or (wbits == _GZIP and bytes(view[at : at + 2]) == b"\x1f\x8b"):
        parts += 1
        if parts > _MOST_PARTS:
            raise RefusedError("an answer that is compressed in too many parts")
        unpacker = zlib.decompressobj(wbits)
        while not unpacker.eof:
            fed = view[at : at + 65_536]
            if not fed:
                raise zlib.error("cut")
            out += unpacker.decompress(fed, LARGEST_ANSWER + 1 - len(out))
            if len(out) > LARGEST_ANSWER:
                raise RefusedError(_TOO_LARGE)
            at += len(fed) - len(unpacker.unused_data)
    return out


_TOO_LARGE = f"an answer of more than {LARGEST_ANSWER >> 20} MiB"
