"""Opens files and folders so that nobody can redirect the program elsewhere.

Users who may write to a folder can put a link, a device or a pipe where the program expects its own file. So files
that are written are opened without following links, and must be plain files with one name. SQLite opens its files
itself and follows links, and root could do the most damage. So root refuses to work in a folder that others can
write to.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import resource
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from syncer.errors import ConfigError

#: The suffixes of SQLite's files for a database.
DATABASE_FILES = ("", "-wal", "-shm", "-journal")

#: The most links in one path that Linux follows.
_LINKS = 40

#: Do not wait for the other end of a pipe, do not become a controlling terminal, close in child processes.
_SAFELY = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

#: Flags of renameat2(2) on Linux, and its errors if the C library or file system does not support them.
_AT_FDCWD, _NOREPLACE, _EXCHANGE = -100, 1, 2
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)

_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}

NO_ROOM = "this process may open no more files: allow it more (`ulimit -n 1024`, or LimitNOFILE= in the unit)"


def room() -> int:
    """How many more files this process may open."""
    try:
        used = len(list(Path("/dev/fd").iterdir())) - 1  # one of them is open to list them
    except OSError as error:
        return 0 if error.errno in (errno.EMFILE, errno.ENFILE) else 1
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] - used


# -- one file ------------------------------------------------------------------------------------------


def oddity(found: os.stat_result) -> str | None:
    """What a file is if it is not a plain one with a single name (`a device`), else None."""
    if not stat.S_ISREG(found.st_mode):
        return _kind(found)
    return "a file with a second name (hard link)" if found.st_nlink > 1 else None


def oddity_at(path: Path) -> str | None:
    """What `path` is if it is not such a file. None also if nothing is there. Raises OSError."""
    try:
        return oddity(path.lstat())
    except (FileNotFoundError, NotADirectoryError):
        return None


def open_plain(path: str | Path, flags: int, *, folder: int | None = None) -> int:
    """Open a plain file, or create one (0600). A path may be relative to the open `folder`.

    Raises OSError, with our own reason if it is not a plain file.
    """
    with contextlib.suppress(FileNotFoundError):  # a device may act when it is opened
        _insist(oddity(os.stat(path, dir_fd=folder, follow_symlinks=False)), path)
    handle = os.open(path, flags | _SAFELY | os.O_NOFOLLOW, 0o600, dir_fd=folder)
    with closed_on_error(handle):
        _insist(oddity(os.fstat(handle)), path)
    return handle


def create(path: Path) -> int:
    """A new file (0600) to write to. FileExistsError if there is anything, including a dangling link.

    Raises OSError.
    """
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def write_new(path: Path, text: str) -> None:
    """Write a new file (see `create`), and flush it to disk. Raises OSError."""
    with os.fdopen(create(path), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def replace(path: Path, part: Path, text: str) -> None:
    """Write `part`, then rename it to `path`, so that a kill leaves either the old file or the new one.

    Raises OSError.
    """
    part.unlink(missing_ok=True)
    write_new(part, text)
    part.replace(path)
    to_disk(path.parent)


def read(path: Path, most: int) -> bytes:
    """The first `most` + 1 bytes of a plain file: one more shows that it is too large. Raises OSError."""
    with os.fdopen(open_plain(path, os.O_RDONLY), "rb") as file:
        return file.read(most + 1)


def read_linked(path: Path, most: int) -> bytes:
    """Like `read`, but follows links: for files that a person wrote and the program only reads. Raises OSError."""
    with open_linked(path) as file:
        return file.read(most + 1)


def open_linked(path: Path) -> BinaryIO:
    """Open a file, following links. Raises OSError, also for a pipe or a device, which might never end."""
    _insist_file(path.stat(), path)
    handle = os.open(path, os.O_RDONLY | _SAFELY)
    with closed_on_error(handle):
        _insist_file(os.fstat(handle), path)
    return os.fdopen(handle, "rb")


def expand(text: str | Path) -> Path:
    """A path with a leading `~` or `~user` as that home folder. Raises OSError if there is none."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise OSError(None, "it begins with the home of a user who does not exist", str(text)) from None


def rename_new(source: Path, target: Path) -> None:
    """Rename a file. FileExistsError if `target` exists. Raises OSError."""
    try:
        _renameat2(source, target, _NOREPLACE)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        link_new(source, target)


def link_new(source: Path, target: Path) -> None:
    """Like `rename_new`, in two steps, for file systems that cannot do it in one."""
    os.link(source, target)
    source.unlink()


def exchange(one: Path, other: Path) -> None:
    """Exchange the names of two files, atomically if the file system supports that. Raises OSError."""
    try:
        _renameat2(one, other, _EXCHANGE)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        exchange_in_steps(one, other)


def exchange_in_steps(one: Path, other: Path) -> None:
    """Like `exchange`, in three steps, for file systems that cannot do it in one."""
    between = one.with_name(f"{one.name}.exchange")
    one.rename(between)
    other.rename(one)
    between.rename(other)


def _renameat2(source: Path, target: Path, flags: int) -> None:
    """renameat2(2), which Python lacks."""
    import ctypes  # imported late: it takes 3 ms, and most commands rename nothing

    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flags):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def to_disk(path: Path) -> None:
    """Flush a file, or a folder with the renames inside it, so that it survives a power cut. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# -- folders -------------------------------------------------------------------------------------------


def open_folder(path: Path, *, make: bool = False) -> int:
    """Open a folder that is not a link, and create it with its parents (0700) if it is missing. Raises OSError."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        if not make:
            raise
        make_folder(path)
    else:
        _insist(None if stat.S_ISDIR(found.st_mode) else _kind(found), path)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def make_folder(path: Path, group: str | None = None) -> None:
    """Create a folder and its parents, only for the owner (0700), or for `group` as well (0770).

    An existing folder is not changed. Raises OSError.
    """
    if path.is_dir():
        return
    if group is not None:
        gid_of(group)  # if there is no such group, nothing is created
    make_folder(path.parent, group)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if path.is_dir():
            return  # another process was faster
        raise
    if group is not None:
        handle = open_folder(path)
        try:
            settle(handle, group)
        finally:
            os.close(handle)


def settle(handle: int, group: str | None) -> None:
    """Share an open file or folder with `group`, or make it private, if we may change it.

    Raises OSError, also if there is no such group.
    """
    found = os.fstat(handle)
    all_of_it = 0o770 if stat.S_ISDIR(found.st_mode) else 0o660
    if group is not None:
        gid = gid_of(group)
        if os.geteuid() in (0, found.st_uid):  # other members of the group leave this to the owner
            _change(handle, all_of_it, gid)
    elif found.st_uid == os.geteuid() and found.st_mode & 0o077:
        os.fchmod(handle, all_of_it & 0o700)


def share(handle: int, folder: int) -> None:
    """Share an open file of ours with the group of its open folder. Raises OSError."""
    if os.fstat(handle).st_uid == os.geteuid():
        found = os.fstat(folder)
        _change(handle, found.st_mode & 0o660, found.st_gid)


def _change(handle: int, mode: int, gid: int) -> None:
    found = os.fstat(handle)
    if found.st_gid != gid and mode & 0o070:
        os.fchown(handle, -1, gid)
    if stat.S_IMODE(found.st_mode) != mode:
        os.fchmod(handle, mode)


def gid_of(group: str) -> int:
    """The id of a group. OSError if there is none of that name."""
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise OSError(None, f"there is no such group on this machine: {group}") from None


@contextlib.contextmanager
def closed_on_error(handle: int) -> Iterator[None]:
    """Close an open file if the block fails."""
    try:
        yield
    except BaseException:
        os.close(handle)
        raise


def _insist_file(found: os.stat_result, path: Path) -> None:
    """Refuse what is not a file. A second name is harmless for files that are only read."""
    _insist(None if stat.S_ISREG(found.st_mode) else _kind(found), path)


def _kind(found: os.stat_result) -> str:
    return _KINDS.get(stat.S_IFMT(found.st_mode), "something of an unknown kind")


def _insist(odd: str | None, path: str | Path) -> None:
    if odd is not None:
        raise OSError(None, f"it is {odd}", str(path))


# -- root in a folder of others ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outsider:
    """Somebody other than root and this user who may change a file or folder."""

    place: Path
    uid: int | None  #: its owner; None: we own it, and others may write to it
    gid: int
    mode: int

    @property
    def name(self) -> str:
        """The user in words."""
        if self.uid is not None:
            return _user(self.uid) or f"user {self.uid}"
        if self.mode & stat.S_IWOTH:
            return "everybody"
        with contextlib.suppress(KeyError):
            return f"the group {grp.getgrgid(self.gid).gr_name}"
        return f"group {self.gid}"

    @property
    def remedy(self) -> str:
        """The command that takes the permission away."""
        return f"chmod go-w {self.place}" if self.uid is None else f"chown root {self.place}"

    @property
    def advice(self) -> str:
        """What root may do about it."""
        if self.uid is None and self.mode & stat.S_ISVTX:  # such as /tmp, which everybody needs
            return f"Make a folder of root's own in it (mkdir -m 700 {self.place / 'syncer'})"
        if self.uid is None:
            return f"Where nobody needs that, end it ({self.remedy})"
        user = _user(self.uid) or f"'#{self.uid}'"
        return f"Run it as that user (sudo -u {user} syncer ...)"

    def __str__(self) -> str:
        return f"{self.place} may be changed by {self.name} (mode {self.mode:o})"


def _user(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def outsiders(path: Path, share: int = 0) -> list[Outsider]:
    """Other users who could change what `path` means: its owner, and the owners of all folders and links on the way.

    Members of the groups 0 and `share` do not count. A file in a folder such as /tmp, where users may only remove
    their own files, is safe, but the folder itself is not. Missing parts are skipped. Raises OSError.
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
            _insist("a loop of links" if links > _LINKS else None, path)
            ahead += reversed(here.readlink().parts)
            here = here.parent
    return found


def outsider(path: Path, share: int = 0) -> Outsider | None:
    """For root, the first of `outsiders`. None for other users, who can harm only themselves."""
    return next(iter(outsiders(path, share)), None) if os.geteuid() == 0 else None


def refuse_root(folder: Path, key: str, group: str | None = None) -> None:
    """Raise ConfigError if root would work in a folder that others may change. Also raises OSError.

    The config's `key` names the folder. Members of `group`, which shares the database, may change it.

    Root does not switch to the folder's owner instead: the program may be installed where that user cannot read it,
    and root's secrets and terminal should not be passed on.
    """
    share = 0
    if group:
        with contextlib.suppress(OSError):  # opening the database reports a missing group
            share = gid_of(group)
    if other := outsider(folder, share):
        raise ConfigError(
            [
                f"Root does not work in {folder}: {other}, who could put links there that lead anywhere. "
                f"{other.advice}, or name another folder in {key}."
            ]
        )
