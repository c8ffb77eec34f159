"""The files of recordings: made whole or not at all, found, copied and removed.

Which are fetched and which go is left to `telecmi_audio` and `core/audio.py`. All files are 0600 in folders of 0700.
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

#: Begins the names of files that are not whole yet. No recording's name begins with a dot.
_PART = ".part-"
_BLOCK = 256 * 1024
#: How many bytes may come in between two calls of `step`.
_STEP = 1_000_000


class Part:
    """A recording that is coming in: the sink of a call. `step` is called now and then, and may end it by an error."""

    head = audio.HEAD

    def __init__(self, path: Path, step: Callable[[int], None]) -> None:
        self.path = path
        self.media: str | None = None  #: what it is, once its first bytes are known
        self.measured = True  #: the answer said how long it is, so that it is known to be whole
        self.size = 0
        self._step = step
        self._told = 0
        self._digest = hashlib.sha256()
        self._begin = b""
        self._file: int | None = None

    @property
    def taken(self) -> bool:
        """See `wire.Sink`."""
        return self.media is not None

    @property
    def sha256(self) -> str:
        """Of what came in so far."""
        return self._digest.hexdigest()

    @property
    def is_cut(self) -> bool:
        """Whether it says itself that it is longer."""
        return audio.is_cut(self._begin, self.size)

    def takes(self, head: bytes, measured: bool) -> bool:
        """See `wire.Sink`."""
        self.media = audio.media_type(head)
        self.measured = measured
        self._begin = head
        return self.taken

    def write(self, piece: bytes) -> None:
        """See `wire.Sink`. Raises FolderError."""
        with _told(self.path.parent):
            if self._file is None:
                _make_folder(self.path.parent)
                self._file = files.create(self.path)
            left = memoryview(piece)
            while left:
                left = left[os.write(self._file, left) :]
        self._digest.update(piece)
        self.size += len(piece)
        if self.size - self._told >= _STEP:
            self._told = self.size
            self._step(self.size)

    def finish(self) -> None:
        """Bring it to the disk. Raises FolderError."""
        assert self._file is not None
        with _told(self.path.parent):
            os.fsync(self._file)
        os.close(self._file)
        self._file = None

    def discard(self) -> None:
        """Nothing of it stays, unless it was published."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        with _told(self.path.parent):
            self.path.unlink(missing_ok=True)


class Recordings:
    """The audio folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def prepare(self) -> None:
        """Make the folder, for its owner alone, or see that it can be written. Raises ConfigError."""
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
        """The file of a stored path. Raises FolderError for one that leads elsewhere."""
        if not audio.is_ours(path):
            raise FolderError("the table voicemail_audio has a path that leads out of the audio folder")
        return self.root / path

    @contextlib.contextmanager
    def part(self, folder: str, row_id: int, step: Callable[[int], None]) -> Iterator[Part]:
        """A place to fetch a recording into, in the folder where it is to be. Raises FolderError."""
        made = Part(self.root / folder / f"{_PART}{row_id}", step)
        try:
            yield made
        finally:
            made.discard()

    def publish(self, part: Part, path: str) -> None:
        """Give a finished part its name, for good. Raises FolderError."""
        with _told(part.path.parent):
            part.path.rename(self.file(path))
            files.sync_folder(part.path.parent)

    def is_whole(self, path: str, size: int, sha256: str | None = None) -> bool:
        """Whether the file is there with that size, and with that checksum where one is given. Raises FolderError."""
        place = self.file(path)
        with _told(self.root):
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
        """Remove the files that are there. Raises FolderError."""
        with _told(self.root):
            for path in paths:
                self.file(path).unlink(missing_ok=True)

    def clear_parts(self, account: str) -> None:
        """Remove what a run that was killed left half fetched. Only where no other run is under way."""
        with _told(self.root):
            for left in (self.root / account).glob(f"*/{_PART}*"):
                left.unlink(missing_ok=True)

    def copy(self, path: str, sha256: str, into: int) -> bool:
        """Copy a file into an open one; whether what was copied has that checksum. Raises FolderError."""
        digest = hashlib.sha256()
        with _told(self.root), os.fdopen(files.open_plain(self.file(path), os.O_RDONLY), "rb") as file:
            while piece := file.read(_BLOCK):
                digest.update(piece)
                left = memoryview(piece)
                while left:
                    left = left[os.write(into, left) :]
        return digest.hexdigest() == sha256


def prepare(settings: Settings) -> None:
    """What has to be there before recordings are fetched. Raises ConfigError."""
    Recordings(settings.audio.path).prepare()


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Turn what the file system says into our own error."""
    try:
        yield
    except OSError as error:
        raise FolderError(
            f"the audio folder {folder} cannot be used ({error.strerror}); check audio.path"
        ) from None


def _make_folder(folder: Path) -> None:
    """Make a folder that outlives a power cut."""
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    files.make_folder(folder)
    for one in new:
        files.sync_folder(one.parent)
