"""The bearer token of the API: made anew at every start, gone after an orderly stop (`runtime_files.remove`)."""

import secrets
from pathlib import Path

from peatd.errors import ConfigError
from peatd.keyfile import write_private

TOKEN_BYTES = 32


def create_token(path: Path) -> str:
    """Makes a token and the file (0600) that tells it to whoever may read the data directory.

    A file that a crash has left is replaced: its token was of a daemon that no longer runs.

    Raises:
        ConfigError: if the file cannot be written.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        raise ConfigError(f"{path} cannot be replaced: {exc.strerror or exc}; remove it") from exc
    write_private(path, f"{token}\n".encode())
    return token
