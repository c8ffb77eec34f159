"""What somebody may put where the program expects a file of its own, and a decoy to see what became of it."""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

#: Kinds of things that are not a plain file with one name. Only root can make a device.
KINDS = (
    "link to a file",
    "dangling link",
    "link to a folder",
    "link to a device",
    "pipe",
    "device",
    "hard link",
    "folder",
)


@dataclass(frozen=True, slots=True)
class Decoy:
    """A file and a folder that the program has no business with; `changed` says what it did to them."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Decoy:
        """A folder with a file in it, both of a mode that the program would change."""
        folder.mkdir()
        (folder / "file").write_bytes(b"SQLite format 3\x00 and what only looks like a database\n")
        (folder / "file").chmod(0o644)
        (folder / "inner").mkdir(mode=0o755)
        os.mkfifo(folder / "pipe", 0o666)
        return cls(folder)

    def put(self, kind: str, path: Path) -> None:
        """Put that kind of thing at `path`, in place of what is there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        match kind:
            case "link to a file":
                path.symlink_to(self.folder / "file")
            case "dangling link":
                path.symlink_to(self.folder / "missing")
            case "link to a folder":
                path.symlink_to(self.folder / "inner")
            case "link to a device":
                path.symlink_to("/dev/null")
            case "hard link":
                path.hardlink_to(self.folder / "file")
            case "pipe":
                os.mkfifo(path, 0o644)
            case "device":
                os.mknod(path, 0o644 | stat.S_IFCHR, os.makedev(1, 3))
            case "folder":
                path.mkdir(mode=0o755)
            case _:
                raise AssertionError(kind)

    def state(self) -> list[tuple[object, ...]]:
        """Everything about the decoys and /dev/null that must stay as it is."""
        seen: list[tuple[object, ...]] = []
        for path in (*sorted(self.folder.rglob("*")), Path("/dev/null")):
            found = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(found.st_mode) else b""
            seen.append((path.name, found.st_mode, found.st_uid, found.st_gid, content))
        return seen
