"""The files of recordings: creates them completely or not at all, and finds, copies and removes them.

`telecmi_audio` and `core/audio.py` decide which are fetched and removed. Files have mode 0600, folders 0700.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from syncer import files
from syncer.config import Settings
from syncer.core import audio
from syncer.errors import ConfigError, FolderError

#: Prefix of files that are not complete yet. The name of a recording never begins with a dot.
_PART = ".part-"
_BLOCK = 256 * 1024
#: The bytes between two calls of `step`.
_STEP = 1_000_000


class Part:
    """The temporary file that a call writes to (a `wire.Sink`). `step` is called regularly, and may raise to end the call."""

    head = audio.HEAD

    def __init__(self, path: Path, step: Callable[[int], None]) -> None:
        self.path = path
        self.media: str | None = None  #: its media type, once its first bytes are known
        self.measured = True  #: the response had a length, so the file is known to be complete
        self.size = 0
        self._step = step
        self._reported = 0
        self._digest = hashlib.sha256()
        self._begin = b""
        self._file: int | None = None

    @property
    def taken(self) -> bool:
        """See `wire.Sink`."""
        return self.media is not None

    @property
    def sha256(self) -> str:
        """The checksum of what has arrived."""
        return self._digest.hexdigest()

    @property
    def is_cut(self) -> bool:
        """Whether its header claims a greater length."""
        return audio.is_cut(self._begin, self.size)

    def takes(self, head: bytes, measured: bool) -> bool:
        """See `wire.Sink`."""
        self.media = audio.media_type(head)
        self.measured = measured
        self._begin = head
        return self.taken

    def write(self, piece: bytes) -> None:
        """See `wire.Sink`. Raises FolderError."""
        with _as_folder_error(self.path.parent):
            if self._file is None:
                _make_folder(self.path.parent)
                self._file = files.create(self.path)
            _write_all(self._file, piece)
        self._digest.update(piece)
        self.size += len(piece)
        if self.size - self._reported >= _STEP:
            self._reported = self.size
            self._step(self.size)

    def finish(self) -> None:
        """Sync it to disk. Raises FolderError."""
        assert self._file is not None
        with _as_folder_error(self.path.parent):
            os.fsync(self._file)
        os.close(self._file)
        self._file = None

    def discard(self) -> None:
        """Remove it, unless it was published."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        with _as_folder_error(self.path.parent):
            self.path.unlink(missing_ok=True)


class Recordings:
    """The audio folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def prepare(self) -> None:
        """Create the folder if it is missing, and check that it can be written. Raises ConfigError."""
        try:
            files.refuse_root(self.root, "audio.path")
            os.close(files.open_folder(self.root, make=True))
            reason: str | None = "" if os.access(self.root, os.W_OK | os.X_OK) else "Permission denied"
        except OSError as error:
            reason = error.strerror
        if reason:
            raise ConfigError(
                [
                    f"audio.path: the folder {self.root} cannot be written ({reason}); give it to the user that runs "
                    "syncer, or name another folder."
                ]
            )

    def file(self, path: str) -> Path:
        """The file of a stored path. Raises FolderError for a path outside of the folder."""
        if not audio.is_ours(path):
            raise FolderError("the table voicemail_audio has a path that leads out of the audio folder")
        return self.root / path

    @contextlib.contextmanager
    def part(self, folder: str, row_id: int, step: Callable[[int], None]) -> Iterator[Part]:
        """A temporary file in the folder of the recording. Raises FolderError."""
        part = Part(self.root / folder / f"{_PART}{row_id}", step)
        try:
            yield part
        finally:
            part.discard()

    def publish(self, part: Part, path: str) -> None:
        """Rename a finished part to its final path, durably. Raises FolderError."""
        with _as_folder_error(part.path.parent):
            part.path.rename(self.file(path))
            files.to_disk(part.path.parent)

    def is_whole(self, path: str, size: int, sha256: str | None = None) -> bool:
        """Whether the file exists with this size and, if given, this checksum. Raises FolderError."""
        place = self.file(path)
        with _as_folder_error(self.root):
            try:
                found = os.lstat(place)
            except (FileNotFoundError, NotADirectoryError):
                return False
            if files.oddity(found) or found.st_size != size:
                return False
            if sha256 is None:
                return True
            with os.fdopen(files.open_plain(place, os.O_RDONLY), "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == sha256

    def remove(self, paths: Iterable[str]) -> None:
        """Remove those of the files that exist. Raises FolderError."""
        with _as_folder_error(self.root):
            for path in paths:
                self.file(path).unlink(missing_ok=True)

    def clear_parts(self, account: str) -> None:
        """Remove the parts of a killed run. No other run of the account may be under way."""
        with _as_folder_error(self.root):
            for left in (self.root / account).glob(f"*/{_PART}*"):
                left.unlink(missing_ok=True)

    def copy(self, path: str, sha256: str, into: int) -> bool:
        """Copy a file into an open one. Returns whether the copy has this checksum. Raises FolderError."""
        digest = hashlib.sha256()
        with (
            _as_folder_error(self.root),
            os.fdopen(files.open_plain(self.file(path), os.O_RDONLY), "rb") as file,
        ):
            while piece := file.read(_BLOCK):
                digest.update(piece)
                _write_all(into, piece)
        return digest.hexdigest() == sha256


def prepare(settings: Settings) -> None:
    """Create and check the audio folder. Raises ConfigError."""
    Recordings(settings.audio.path).prepare()


@contextlib.contextmanager
def _as_folder_error(folder: Path) -> Iterator[None]:
    """Map errors of the file system to FolderError."""
    try:
        yield
    except OSError as error:
        raise FolderError(
            f"the audio folder {folder} cannot be used ({error.strerror}); check audio.path and its disk"
        ) from None


def _write_all(file: int, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(file, left) :]


def _make_folder(folder: Path) -> None:
    """Create a folder durably."""
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    files.make_folder(folder)
    for one in new:
        files.to_disk(one.parent)
