"""Files and folders, opened so that nobody can lead the program elsewhere.

Whoever may write to a folder can put a link, a device or a pipe where the program expects its own file. So
what is written to is opened without following links, and has to be a plain file with one name. SQLite opens
its files by itself and does follow links, and root is whom such a trick would hurt most. So root works only
where nobody else could have put anything: elsewhere it becomes the owner of the folder for good, or refuses.

What lies in the files is left to the callers.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from syncer.errors import ConfigError, UsageError

#: SQLite's own files of a database, by what follows its name.
DATABASE_FILES = ("", "-wal", "-shm", "-journal")

#: As many links in one path as Linux follows.
_LINKS = 40

_KINDS = {
    stat.S_IFREG: "is a file",
    stat.S_IFLNK: "is a symbolic link",
    stat.S_IFDIR: "is a folder",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
    stat.S_IFIFO: "is a pipe",
    stat.S_IFSOCK: "is a socket",
}

# -- one file ------------------------------------------------------------------------------------------


def oddity(found: os.stat_result, *, kind: int = stat.S_IFREG) -> str | None:
    """What keeps a file from being a plain one with a single name (`is a device`), or None.

    The same for a folder with `kind` S_IFDIR; that may have many names.
    """
    if stat.S_IFMT(found.st_mode) != kind:
        return _KINDS.get(stat.S_IFMT(found.st_mode), "is of an unknown kind")
    return "has a second name (a hard link)" if kind == stat.S_IFREG and found.st_nlink > 1 else None


def oddity_at(path: Path) -> str | None:
    """The same of what lies at `path`; None also where nothing does. Raises OSError."""
    try:
        return oddity(path.lstat())
    except (FileNotFoundError, NotADirectoryError):
        return None


def open_plain(path: str | Path, flags: int, *, folder: int | None = None) -> int:
    """Open a plain file, or create one (0600); a relative path counts from the open `folder`.

    Raises OSError, with our own reason where something else is there.
    """
    with contextlib.suppress(FileNotFoundError):  # a device may act when it is merely opened
        _insist(oddity(os.stat(path, dir_fd=folder, follow_symlinks=False)), path)
    safely = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    handle = os.open(path, flags | safely, 0o600, dir_fd=folder)
    with _closed_on_error(handle):
        _insist(oddity(os.fstat(handle)), path)
    return handle


def create(path: Path) -> int:
    """A new file (0600) to write to; FileExistsError where anything is there, a dangling link included.

    Raises OSError, and UsageError where root would leave a file in somebody else's folder.
    """
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    if os.geteuid() == 0 and (others := outsiders(path)):
        raise UsageError(f"root does not write {path}: {others[0]}; name a file in a folder of root's own")
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def open_folder(path: Path, *, make: bool = False) -> int:
    """Open a folder that is no link; made with its parents (0700) if it is not there. Raises OSError."""
    try:
        _insist(oddity(path.lstat(), kind=stat.S_IFDIR), path)
    except FileNotFoundError:
        if not make:
            raise
        make_folder(path)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def make_folder(path: Path, group: str | None = None) -> None:
    """Make a folder and its parents, for its owner alone (0700), or for `group` as well (0770).

    One that is there stays as it is. Raises OSError, and KeyError where there is no such group.
    """
    gid = None if group is None else grp.getgrnam(group).gr_gid
    if not path.parent.is_dir():
        make_folder(path.parent, group)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    if gid is not None:
        handle = open_folder(path)
        try:
            os.fchown(handle, -1, gid)
            os.fchmod(handle, 0o770)
        finally:
            os.close(handle)


def read(path: Path, most: int) -> bytes:
    """What a file holds, through links, too: it is only read. At most one byte more than `most`.

    Raises OSError, also for what is not a file: a pipe or a device might never end.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with _closed_on_error(handle):
        kind = stat.S_IFMT(os.fstat(handle).st_mode)
        _insist(None if kind == stat.S_IFREG else _KINDS.get(kind, "is of an unknown kind"), path)
    with os.fdopen(handle, "rb") as file:
        return file.read(most + 1)


@contextlib.contextmanager
def _closed_on_error(handle: int) -> Iterator[None]:
    try:
        yield
    except BaseException:
        os.close(handle)
        raise


def _insist(reason: str | None, path: str | Path) -> None:
    if reason is not None:
        raise OSError(None, f"it {reason}", str(path))


# -- root in a folder of others ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outsider:
    """Somebody other than root and this user who may change a file or folder."""

    place: Path
    uid: int | None  #: its owner; None: it is ours, and others may write to it
    gid: int
    mode: int

    @property
    def name(self) -> str:
        """Who that is."""
        if self.uid is not None:
            with contextlib.suppress(KeyError):
                return pwd.getpwuid(self.uid).pw_name
            return f"user {self.uid}"
        if self.mode & stat.S_IWOTH:
            return "everybody"
        with contextlib.suppress(KeyError):
            return f"the group {grp.getgrgid(self.gid).gr_name}"
        return f"group {self.gid}"

    def __str__(self) -> str:
        return f"{self.place} may be changed by {self.name} (mode {self.mode:o})"


def outsiders(path: Path, share: int = 0) -> list[Outsider]:
    """Who else could change what `path` means: its owner, and those of all folders and links on the way.

    Members of the groups 0 and `share` are none. A file in a folder such as /tmp, where each may only remove
    what is their own, is safe there; the folder itself is not. What does not exist is not looked at. Raises OSError.
    """
    found = []
    here, links = Path("/"), 0
    ahead = list(reversed(path.absolute().parts))
    while ahead:
        part = ahead.pop()
        here = here.parent if part == ".." else here / part
        try:
            seen = here.lstat()
        except (FileNotFoundError, NotADirectoryError):
            break
        is_link = stat.S_ISLNK(seen.st_mode)
        writable = seen.st_mode & (stat.S_IWOTH if seen.st_gid in (0, share) else stat.S_IWOTH | stat.S_IWGRP)
        kept_apart = bool(seen.st_mode & stat.S_ISVTX and ahead)
        if seen.st_uid not in (0, os.geteuid()):
            found.append(Outsider(here, seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode)))
        elif writable and not is_link and not kept_apart:
            found.append(Outsider(here, None, seen.st_gid, stat.S_IMODE(seen.st_mode)))
        if is_link:
            links += 1
            _insist("goes round in circles" if links > _LINKS else None, path)
            ahead += reversed(here.readlink().parts)
            here = here.parent
    return found


def work_as_owner(folder: Path, group: str | None = None) -> str | None:
    """Where root would work in a folder that others may change, become its owner for good; the owner's name.

    Members of `group`, with whom the config shares the database, may change it. Does nothing (None) for anybody
    but root, and in a folder of root's own. Raises ConfigError where there is no one owner to become, and OSError.
    """
    if os.geteuid() != 0:
        return None
    share = 0
    if group:
        with contextlib.suppress(KeyError):  # who opens the database says so
            share = grp.getgrnam(group).gr_gid
    others = outsiders(folder, share)
    if not others:
        return None
    last = others[-1]
    if last.uid is None or any(one.uid != last.uid for one in others):
        raise ConfigError(
            [
                f"Root does not work in {folder}: {others[0]}, who could put links there that lead anywhere. "
                "Let this folder and those above it belong to root or to one user, or name another in database.url."
            ]
        )
    _become(last.uid, last.gid)
    return last.name


def _become(uid: int, gid: int) -> None:
    """Give root up, with all its groups; `gid` is for a user that the machine has no entry for."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        os.setgroups([gid])
    else:
        gid = entry.pw_gid
        os.initgroups(entry.pw_name, gid)
    os.setgid(gid)
    os.setuid(uid)
