"""The data directory: there, ours alone, and private.

The lock is an flock on a file that is never removed: were it removed at exit, a daemon that opened the old file and one
that made a new one would both hold "the" lock.
"""

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from peatd.errors import StoreError, StoreLocked

LOCK_FILE = "peat.lock"


class DirectoryLock:
    """The data directory is ours until `release`, or until the process ends however it ends."""

    def __init__(self, directory: Path) -> None:
        """Takes the directory, and makes it (0700) if it is missing.

        Raises:
            StoreLocked: if another process has it.
            StoreError: if it cannot be made or written.
        """
        self.path = directory / LOCK_FILE
        try:
            _make(directory)
            self._fd = _open_and_lock(self.path)
        except BlockingIOError:  # its number is that of a machine that has run out of something
            raise StoreLocked(
                f"{directory} is in use by {_holder(self.path)}: stop it, or give this one its own --data-dir"
            ) from None
        except OSError as exc:
            raise StoreError(f"cannot use {directory} as data directory: {exc.strerror}: {advice(exc)}") from exc
        self._sign()

    def holds(self) -> bool:
        """Whether nobody else can have the directory, even after somebody removed the file; it is then made anew."""
        if _is_same_file(self._fd, self.path):
            return True
        try:
            fd = _open_and_lock(self.path)
        except OSError:
            return False
        os.close(self._fd)
        self._fd = fd
        self._sign()
        return True

    def release(self) -> None:
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, 0)
        os.close(self._fd)

    def _sign(self) -> None:
        with contextlib.suppress(OSError):  # a full disk may refuse it: it is a courtesy, the lock needs no space
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)


def _make(directory: Path) -> None:
    if directory.is_dir():
        return
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.mkdir(mode=0o700)
    parent = os.open(directory.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(parent)  # or a power cut takes the new directory, and all that was acknowledged in it
    finally:
        os.close(parent)


def _open_and_lock(path: Path) -> int:
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(fd)
            raise
        if _is_same_file(fd, path):
            return fd
        os.close(fd)  # removed between the open and the lock


def _is_same_file(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    try:
        pid = int(path.read_text())
    except (OSError, ValueError):
        return "another process"
    return f"process {pid}"


def advice(exc: OSError) -> str:
    """What to do about a directory or a file in it that the disk does not give us."""
    if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "make it writable for this user, or choose another --data-dir"
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free space on its volume"
    return "choose another --data-dir"
