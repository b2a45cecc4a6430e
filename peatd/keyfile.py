"""Secrets on disk: readable by their owner alone, whole or not there at all, and never overwritten."""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from peatd.errors import ConfigError
from peatd.identity import SECRET_BYTES, Keypair

_OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def load_keypair(path: Path) -> Keypair:
    """The node key in a file that holds its 32-byte secret and nothing else.

    Raises:
        ConfigError: if it cannot be read, others may read or write it, or it is not 32 bytes long.
    """
    try:
        # Non-blocking, for a named pipe would hold us here for ever; it is refused below.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            # Of what we read, not of what lies there a moment later.
            _refuse_unless_private(path, os.fstat(descriptor).st_mode)
            secret = file.read(SECRET_BYTES + 1)
    except OSError as exc:
        raise ConfigError(f"key file {path}: {exc.strerror or exc}; `peat keygen --out {path}` makes one") from exc
    if len(secret) != SECRET_BYTES:
        found = f"has {len(secret)} bytes" if len(secret) < SECRET_BYTES else "is longer"
        raise ConfigError(
            f"key file {path}: a node key is {SECRET_BYTES} raw bytes, this file {found}; "
            "`peat keygen --out FILE` makes one"
        )
    return Keypair.from_secret(secret)


def save_keypair(keypair: Keypair, path: Path) -> None:
    """Writes the secret where `load_keypair` can read it.

    Raises:
        ConfigError: if something lies there already, or it cannot be written.
    """
    write_private(path, keypair.secret)


def write_private(path: Path, content: bytes) -> None:
    """Makes a file with mode 0600 that is complete, and on disk, from the moment it has its name.

    Raises:
        ConfigError: if something lies there already, or it cannot be written.
    """
    draft = path.parent / f".peat-{secrets.token_hex(8)}"
    try:
        _write_draft(draft, content)
        try:
            os.link(draft, path)  # unlike a rename, it fails where something is
            _sync_directory(path.parent)
        finally:
            draft.unlink()
    except FileExistsError as exc:
        raise ConfigError(f"{path} is there already and is never overwritten; name another file, or remove it") from exc
    except OSError as exc:
        raise ConfigError(f"{path} cannot be written: {exc.strerror or exc}; name another place") from exc


def replace_private(path: Path, content: bytes) -> None:
    """Writes a file that others may lie under already, whole at every moment: mode and owner stay, or it is 0600.

    Raises:
        OSError: if it cannot be written; what was there stays.
    """
    draft = path.parent / f".peat-{secrets.token_hex(8)}"
    _write_draft(draft, content)
    try:
        with contextlib.suppress(FileNotFoundError):
            before = path.stat()
            draft.chmod(stat.S_IMODE(before.st_mode))
            with contextlib.suppress(PermissionError):
                os.chown(draft, before.st_uid, before.st_gid)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _write_draft(draft: Path, content: bytes) -> None:
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)  # whatever the umask took away
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        draft.unlink()
        raise


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_unless_private(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise ConfigError(f"key file {path} is not a regular file; name one that `peat keygen --out FILE` made")
    if mode & _OPEN_TO_OTHERS:
        raise ConfigError(
            f"key file {path} has mode {stat.S_IMODE(mode):04o}, so others may use the key; "
            f"allow its owner only: chmod 600 {path}"
        )
