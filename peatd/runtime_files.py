"""The files of the data directory that are there while a node runs: api.sock, api.token and node.json.

A disk that has become read-only, or full, is no reason to stop in disorder: what cannot be taken away is left behind,
and the next start replaces it.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog

from peatd.errors import ConfigError

log = structlog.get_logger()


def write_node_file(path: Path, stated: Mapping[str, object]) -> None:
    """States where a node can be reached, for everyone (0644): whole, or not there at all.

    Raises:
        ConfigError: if it cannot be written.
    """
    draft = path.with_suffix(".json.new")
    try:
        draft.write_bytes(msgspec.json.encode(stated) + b"\n")
        draft.chmod(0o644)
        draft.replace(path)
    except OSError as exc:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise ConfigError(
            f"{path} cannot be written: {exc.strerror or exc}; look at its volume, or name another --data-dir"
        ) from exc


def remove(path: Path) -> None:
    """Takes one of them away. That it is gone already is no fault, and that it has to stay is told."""
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        log.warning("file left behind", file=str(path), message=exc.strerror or str(exc))
