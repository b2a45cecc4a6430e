"""Where the formation secret is kept: the operator's file or variable, or our own file in the data directory.

A file is read again when it changes, and is written by `peat secret rotate`, where we may. What Kubernetes or systemd
hands us is theirs to change; what stands in the environment stays as long as the process.
"""

import os
import stat
from pathlib import Path

from peatd.config import Config
from peatd.errors import ConfigError, SecretFixed
from peatd.formation import format_formation_secret, new_formation_secret, parse_formation_secret
from peatd.keyfile import replace_private, write_private
from peatd.settings.table import FORMATION_SECRET_FILE

FILE_NAME = "formation-secret"
MAX_FILE_BYTES = 64 * 1024
"""Hundreds of secrets; more is another file that was named by mistake."""

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def ensure_formation_secret(config: Config) -> tuple[str, str, bool]:
    """The formation secret's text, its origin for messages, and whether it was made just now.

    Outside a cluster, where none is set, one is made in the data directory at first start. In a cluster each pod
    would make its own, and no two would ever meet: so there it is required.

    Raises:
        ConfigError: if there is none and we are in a cluster, or a file cannot be read, written or trusted.
    """
    if config.formation_secret is not None:
        return config.formation_secret, config.origins[FORMATION_SECRET_FILE.name], False
    if config.formation_secret_file is not None:
        origin = f"{config.origins[FORMATION_SECRET_FILE.name]}: {config.formation_secret_file}"
        return _read(config.formation_secret_file, origin), origin, False
    file = config.data_dir / FILE_NAME
    if config.in_cluster:
        raise ConfigError(
            "--formation-secret-file is not set (nor PEAT_FORMATION_SECRET_FILE, nor PEAT_FORMATION_SECRET), and in "
            "a cluster nodes meet by it alone: make one with `peat secret new` and mount it from a Secret"
        )
    created = _create_unless_there(file)
    return _read(file, str(file)), str(file), created


Stamp = tuple[int, int, int, int]
"""Of a file: device, inode, time of change in nanoseconds, size. Another one is another content."""


class SecretSource:
    """Where a node's secrets come from, and come from again.

    Attributes:
        name: for messages: a file's path or a variable's name.
        file: None where they are in the environment.
    """

    def __init__(self, config: Config) -> None:
        self._origin = config.origins[FORMATION_SECRET_FILE.name]
        self.file = None
        if config.formation_secret is None:
            self.file = config.formation_secret_file or config.data_dir / FILE_NAME
        self.name = self._origin if self.file is None else str(self.file)

    def read(self) -> tuple[bytes, ...]:
        """The secrets that are in the file now.

        Raises:
            ConfigError: if it cannot be read, trusted or parsed.
        """
        assert self.file is not None
        return parse_formation_secret(_read(self.file, self.name), self.name)

    def stamp(self) -> Stamp | None:
        """Tells whether it has changed; of the file that a link leads to, for Kubernetes exchanges links. None where
        there is no file."""
        try:
            found = None if self.file is None else self.file.stat()
        except OSError:
            return None
        return None if found is None else (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)

    def fixed(self) -> str | None:
        """Why we cannot write it, and what to do instead; None if we can."""
        if self.file is None:
            return f"it stands in {self._origin}: set it anew and restart the node, or use a file, which is read again"
        file = self.file.resolve()
        if any(part.startswith("..") for part in file.parts):
            return f"{self.file} is mounted by Kubernetes: change the Secret; the node reads it again by itself"
        if not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)):
            return f"{self.file} is not this node's to write: change it there; the node reads it again by itself"
        return None

    def rewrite(self, secrets: tuple[bytes, ...]) -> None:
        """Puts these secrets in the place of those that are there.

        Raises:
            SecretFixed: if that is not possible.
        """
        why = self.fixed()
        if why is not None or self.file is None:
            raise SecretFixed(f"the formation secret cannot be changed from here: {why}")
        try:
            replace_private(self.file.resolve(), format_formation_secret(secrets).encode())
        except OSError as exc:
            raise SecretFixed(f"{self.file} cannot be written: {exc.strerror or exc}") from exc


def _create_unless_there(file: Path) -> bool:
    try:
        if file.exists():
            return False
    except OSError as exc:
        hint = "make it accessible to this user, or name another with --data-dir"
        raise ConfigError(f"{file.parent} cannot be used: {exc.strerror}; {hint}") from exc
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(f"{file.parent} cannot be made: {exc.strerror}; name another with --data-dir") from exc
    try:
        write_private(file, new_formation_secret().encode() + b"\n")
    except ConfigError:
        if not file.exists():
            raise
        return False  # another daemon was faster: its secret is ours too
    return True


def _read(file: Path, origin: str) -> str:
    """Kubernetes mounts secrets for all to read, so only those who could replace it are kept out."""
    try:
        # Non-blocking, for a named pipe would hold us here for ever; it is refused below.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as opened:
            _refuse_unless_trusted(os.fstat(descriptor).st_mode, file, origin)
            content = opened.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise ConfigError(f"{origin} cannot be read: {exc.strerror or exc}; `peat secret new` makes one") from exc
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{origin} has more than {MAX_FILE_BYTES} bytes, so it is no formation secret: name another")
    try:
        return content.decode("ascii")
    except UnicodeDecodeError:
        # The cause is dropped: it would quote the secret.
        raise ConfigError(f"{origin} is not base64 text; `peat secret new` makes one") from None


def _refuse_unless_trusted(mode: int, file: Path, origin: str) -> None:
    if not stat.S_ISREG(mode):
        raise ConfigError(f"{origin} is not a regular file: name the file that holds the formation secret")
    if mode & _WRITABLE_BY_OTHERS:
        raise ConfigError(
            f"{origin} has mode {stat.S_IMODE(mode):04o}, so others could replace the formation secret: "
            f"chmod go-w {file}"
        )
