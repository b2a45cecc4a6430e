"""The formation secret as `peat` finds and reads it: from a file, or stdin."""

import sys
from collections.abc import Mapping
from pathlib import Path

from cli.locate import Options, data_dir
from cli.outcome import Exit, Stop

DEFAULT_SEED_FILE = "/var/run/secrets/peat/formation-secret"
STDIN = "-"

_MAX_SEED_BYTES = 1024 * 1024


def usual_seed_file(environ: Mapping[str, str]) -> str:
    """The file that a daemon in a pod would read."""
    return environ.get("PEAT_FORMATION_SECRET_FILE") or DEFAULT_SEED_FILE


def find_secret(path: str | None, options: Options, environ: Mapping[str, str]) -> tuple[str, str]:
    """The text of the formation secret that a daemon here would use, and where it is from, in the daemon's order.

    Args:
        path: the one that was named; None if none was.

    Raises:
        Stop: if it cannot be read.
    """
    if path is None:
        if given := environ.get("PEAT_FORMATION_SECRET"):
            return given, "PEAT_FORMATION_SECRET"
        own = Path(data_dir(options, environ)) / "formation-secret"
        path = environ.get("PEAT_FORMATION_SECRET_FILE") or (str(own) if own.exists() else DEFAULT_SEED_FILE)
    elif not path:
        raise Stop(Exit.USAGE, "--seed-file is empty; name a file, or leave it out for the usual one")
    content, origin = read_seed(path)
    return content.decode("latin-1"), origin


def read_seed(path: str) -> tuple[bytes, str]:
    """The file's content, as it is, and what to call it in a message.

    Raises:
        Stop: if it cannot be read, or is empty or far too long.
    """
    origin = "stdin" if path == STDIN else path
    try:
        if path == STDIN:
            content = sys.stdin.buffer.read(_MAX_SEED_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                content = file.read(_MAX_SEED_BYTES + 1)
    except OSError as exc:
        raise Stop(Exit.USAGE, f"seed file {origin}: {exc.strerror or exc}; name another one, or - for stdin") from exc
    if len(content) > _MAX_SEED_BYTES:
        raise Stop(Exit.USAGE, f"{origin} has more than {_MAX_SEED_BYTES} bytes; a seed is short: peat secret new")
    if not content.strip():
        raise Stop(Exit.USAGE, f"{origin} is empty, and everyone could derive that key; make a seed: peat secret new")
    return content, origin
