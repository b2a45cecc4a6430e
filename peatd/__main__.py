"""`peatd`: settings, log, event loop, signals, exit codes."""

import errno
import faulthandler
import gc
import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio import Event
    from trio.lowlevel import TrioToken

    from peatd.config import Config
    from peatd.settings.demo import Demo

EXIT_STOPPED, EXIT_FAULT, EXIT_USAGE, EXIT_SECOND_SIGNAL = 0, 1, 2, 130

_OF_A_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS})
_RUN_OUT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN})
_PASSING = _OF_A_DISK | _RUN_OUT
"""What a disk or a machine says of its state, and not of a setting: the next start may do without anyone's changing
one. Whoever starts us must not take it for final, as systemd's `RestartPreventExitStatus=2` would."""

_STOPPING = (signal.SIGTERM, signal.SIGINT)


def main() -> None:
    """Runs one node until SIGTERM or SIGINT; a second signal ends the process at once.

    Exit codes: 0 after an orderly stop, 1 fault (the disk's, too: starting again may help), 2 usage or configuration,
    130 second signal.
    """
    for number in _STOPPING:
        signal.signal(number, _stop_before_start)
    sys.exit(_run())


def _run() -> int:
    from peatd import config
    from peatd.errors import ConfigError

    try:
        demo = config.load_demo()
        settings = config.load() if demo is None else None
        config.forget_service_manager()
    except ConfigError as error:
        return _refuse(error)
    _import_structlog()
    from peatd.log import open_log

    try:
        if settings is None:
            assert demo is not None
            with open_log(level="warning", form="text"):
                return _run_demo(demo)
        with open_log(level=settings.log_level, form=settings.log_format):
            return _run_node(settings)
    except OSError as error:
        return _refuse(error)


def _import_structlog() -> None:
    """Without rich, which it loads wherever that is installed (typer brings it, for `peat`), to render what log.py
    renders: 4 MB. None in `sys.modules` is how Python is told that there is no such module."""
    sys.modules["rich"] = None  # type: ignore[assignment]  # typeshed does not know of None here
    import structlog  # noqa: F401

    del sys.modules["rich"]


def _run_node(settings: "Config") -> int:
    import trio

    from peatd import node, surroundings
    from peatd.errors import ConfigError, DiscoveryError, StoreError

    surroundings.allow_open_files()
    # A service manager ends what hangs by SIGABRT: where it hung is then in its log.
    faulthandler.enable()
    # Measured: with the objects of the imports frozen and fewer collections, a message costs half.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)

    async def main() -> None:
        stopping = trio.Event()
        _stop_on_signals(trio.lowlevel.current_trio_token(), stopping)
        await node.run(settings, stopping=stopping)

    code = EXIT_STOPPED
    try:
        trio.run(main)
    except* (ConfigError, StoreError, DiscoveryError) as group:
        code = _refuse(_first(group))
    except* Exception as group:
        code = _fail(group)
    return code


def _fail(group: BaseExceptionGroup[Exception]) -> int:
    import structlog

    first = _first(group)
    if isinstance(first, OSError) and first.errno in _PASSING:
        return _refuse(first)
    structlog.get_logger().exception("node failed", exc_info=group)
    return EXIT_FAULT


def _run_demo(demo: "Demo") -> int:
    from peatd.demo.run import run_demo
    from peatd.errors import ConfigError, DemoFailed

    code = EXIT_STOPPED
    try:
        run_demo(demo)
    except* ConfigError as group:
        code = _refuse(_first(group))
    except* DemoFailed as group:
        _refuse(_first(group))
        code = EXIT_FAULT
    return code


def _stop_before_start(_signal: int, _frame: FrameType | None) -> None:
    """While there is nothing yet to put in order. (As a container's first process we would not even die of SIGTERM.)"""
    os._exit(EXIT_STOPPED)


def _stop_on_signals(token: "TrioToken", stopping: "Event") -> None:
    """Plain handlers, so that the second signal works although the loop is stuck."""
    asked = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(EXIT_SECOND_SIGNAL)
        asked = True
        token.run_sync_soon(stopping.set)

    for number in _STOPPING:
        signal.signal(number, stop)


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, Exception)
    return found


def _refuse(error: Exception) -> int:
    sys.stderr.write(f"peatd: {error}\n")
    return EXIT_FAULT if _may_pass(error) else EXIT_USAGE


def _may_pass(error: Exception) -> bool:
    from peatd.errors import StoreDamaged, StoreUnavailable

    causes = [one for one in (error, error.__cause__) if isinstance(one, OSError)]
    return isinstance(error, StoreUnavailable | StoreDamaged) or any(one.errno in _PASSING for one in causes)


if __name__ == "__main__":
    main()
