"""SIGHUP: reads the formation secret again. Where the terminal that we run on has gone, it means what it always did.

A node in the foreground of a terminal would else outlive its window, with nobody to see or stop it.
"""

import errno
import os
import signal
from collections.abc import Callable

import trio

_TERMINAL = "/dev/tty"
"""The terminal that controls this process, if one does: tty(4)."""
_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What is said of us, and not of the terminal."""


async def follow_hangups(reload: Callable[[], None], stop: Callable[[], None]) -> None:
    """Calls one of both at each SIGHUP, until cancelled. In the main thread."""
    had_terminal = _has_terminal()
    with trio.open_signal_receiver(signal.SIGHUP) as hangups:
        async for _ in hangups:
            if had_terminal and not _has_terminal():
                stop()
            else:
                reload()


def _has_terminal() -> bool:
    try:
        os.close(os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError as exc:
        return exc.errno in _OURS
    return True
