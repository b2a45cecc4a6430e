"""`peat`: takes the short way where there is one, else the long one, and ends with the right exit code."""

import os
import sys
from collections.abc import Sequence

from cli.outcome import Exit, Stop
from cli.probe import is_surely_ready


def main() -> int:
    """The program; its exit code."""
    try:
        arguments = sys.argv[1:]
        if arguments[:1] == ["ready"] and is_surely_ready(arguments[1:], os.environ) and _say_ready():
            return Exit.YES
        return _long_way(arguments)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED


def _say_ready() -> bool:
    try:
        return os.write(1, b"ready\n") == len(b"ready\n")
    except OSError:  # nobody reads: the long way says so
        return False


def _long_way(arguments: Sequence[str]) -> int:
    from cli.app import run
    from peatd.errors import ConfigError

    try:
        return run(arguments)
    except Stop as stop:
        return _end(stop.code, str(stop))
    except ConfigError as wrong:
        return _end(Exit.USAGE, str(wrong))


def _end(code: Exit, message: str) -> int:
    from cli.render import note

    if message:
        note(message)
    return code
