"""What every program of ours does as a process: signals, exit codes, and how it says that it cannot run.

It imports next to nothing before it has to: what a wrong setting costs is then 0.1 s.
"""

import errno
import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio import Event
    from trio.lowlevel import TrioToken

EXIT_STOPPED, EXIT_FAULT, EXIT_USAGE, EXIT_SECOND_SIGNAL = 0, 1, 2, 130

_OF_A_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS})
_RUN_OUT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN})
_PASSING = _OF_A_DISK | _RUN_OUT
"""What a disk or a machine says of its state, and not of a setting: the next start may do without anyone's changing
one. Whoever starts us must not take it for final, as systemd's `RestartPreventExitStatus=2` would."""

_STOPPING = (signal.SIGTERM, signal.SIGINT)


def stop_at_once() -> None:
    """Until `stop_in_order` a signal ends the process: there is nothing yet to put in order. (As a container's first
    process we would not even die of SIGTERM.)"""
    for number in _STOPPING:
        signal.signal(number, lambda _signal, _frame: os._exit(EXIT_STOPPED))


def stop_in_order(token: "TrioToken", stopping: "Event") -> None:
    """From now on the first signal sets `stopping`, and the second ends the process, by plain handlers: so it works
    although the loop is stuck."""
    asked = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(EXIT_SECOND_SIGNAL)
        asked = True
        token.run_sync_soon(stopping.set)

    for number in _STOPPING:
        signal.signal(number, stop)


def import_structlog() -> None:
    """Without rich, which it loads wherever that is installed (typer brings it, for `peat`), to render what log.py
    renders: 4 MB. None in `sys.modules` is how Python is told that there is no such module."""
    sys.modules["rich"] = None  # type: ignore[assignment]  # typeshed does not know of None here
    import structlog  # noqa: F401

    del sys.modules["rich"]


def first(group: BaseExceptionGroup[Exception]) -> Exception:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, Exception)
    return found


def refuse(error: Exception, program: str = "peatd") -> int:
    """Says why it cannot run, in one line; the exit code."""
    sys.stderr.write(f"{program}: {error}\n")
    return EXIT_FAULT if _may_pass(error) else EXIT_USAGE


def fail(group: BaseExceptionGroup[Exception], program: str = "peatd") -> int:
    """Says what has gone wrong that should not have; the exit code."""
    import structlog

    found = first(group)
    if isinstance(found, OSError) and found.errno in _PASSING:
        return refuse(found, program)
    structlog.get_logger().exception("node failed", program=program, exc_info=group)
    return EXIT_FAULT


def _may_pass(error: Exception) -> bool:
    from peatd.errors import StoreDamaged, StoreUnavailable

    causes = [one for one in (error, error.__cause__) if isinstance(one, OSError)]
    return isinstance(error, StoreUnavailable | StoreDamaged) or any(one.errno in _PASSING for one in causes)
