"""Recordings of any size, made piece by piece. The file name decides the bytes.

`voicemail` decides who may fetch which one, and when.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

#: An MPEG frame: 32 kbit/s, 44.1 kHz, mono, 104 bytes. Empty side information makes it silent.
_FRAME = b"\xff\xfb\x10\xc4" + bytes(32)
_FRAME_NOISE = 68
_FRAMES = 600
_ID3 = b"ID3\x04\x00\x00\x00\x00\x00\x00"
_NOISE = 65_536
#: Noise as quiet 8-bit samples.
_QUIET = bytes(126 + (n & 3) for n in range(256))


@dataclass(frozen=True, slots=True)
class Sound:
    """One recording. The same name, kind and size always give the same bytes."""

    name: str
    kind: str  #: `mp3`, `id3`, `wav` or `noise`
    size: int  #: bytes

    @classmethod
    def of(cls, name: str, kind: str = "by_name", size: float | None = None) -> Sound:
        """The recording of a name. With `by_name` and None, the name decides the kind and the size."""
        if kind == "by_name":
            kind = "wav" if name.endswith(".wav") else "mp3"
        if size is None:
            size = 2_000 + int.from_bytes(hashlib.sha256(name.encode()).digest()[:2]) % 6_000
        return cls(name, kind, int(size))

    def pieces(self) -> Iterator[bytes]:
        """The bytes, in small pieces."""
        left = self.size
        for piece in itertools.chain([self._header()], self._body()):
            yield piece[:left]
            left -= len(piece)
            if left <= 0:
                return

    def sha256(self) -> str:
        """The checksum, in hex."""
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece)
        return digest.hexdigest()

    def _header(self) -> bytes:
        match self.kind:
            case "id3":
                return _ID3
            case "wav":
                rest, data = (max(0, self.size - n).to_bytes(8, "little")[:4] for n in (8, 44))
                form = b"\x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x40\x1f\x00\x00\x01\x00\x08\x00"
                return b"RIFF" + rest + b"WAVEfmt " + form + b"data" + data
            case "noise":
                return bytes(4)
            case _:
                return b""

    def _body(self) -> Iterator[bytes]:
        wanted = _FRAMES * _FRAME_NOISE if self.kind in ("mp3", "id3") else _NOISE
        for n in itertools.count():
            noise = hashlib.shake_128(f"{self.name}:{n}".encode()).digest(wanted)
            match self.kind:
                case "mp3" | "id3":
                    yield b"".join(
                        _FRAME + noise[at : at + _FRAME_NOISE] for at in range(0, wanted, _FRAME_NOISE)
                    )
                case "wav":
                    yield noise.translate(_QUIET)
                case _:
                    yield noise
