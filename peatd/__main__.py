"""`peatd`: settings, log, event loop, exit codes."""

import faulthandler
import gc
import sys
from typing import TYPE_CHECKING

from peatd.process import EXIT_FAULT, EXIT_STOPPED, fail, first, import_structlog, refuse, stop_at_once, stop_in_order

if TYPE_CHECKING:
    from peatd.config import Config
    from peatd.settings.demo import Demo

_GROWTH = 32
"""The part of a node's memory that may be garbage: 8 MiB of 256."""


def main() -> None:
    """Runs one node until SIGTERM or SIGINT; a second signal ends the process at once.

    Exit codes: 0 after an orderly stop, 1 fault (the disk's, too: starting again may help), 2 usage or configuration,
    130 second signal.
    """
    stop_at_once()
    sys.exit(_run())


def _run() -> int:
    from peatd import config
    from peatd.errors import ConfigError

    try:
        demo = config.load_demo()
        settings = config.load() if demo is None else None
        config.forget_service_manager()
    except ConfigError as error:
        return refuse(error)
    import_structlog()
    from peatd.log import open_log

    try:
        if settings is None:
            assert demo is not None
            with open_log(level="warning", form="text"):
                return _run_demo(demo)
        with open_log(level=settings.log_level, form=settings.log_format):
            return _run_node(settings)
    except OSError as error:
        return refuse(error)


def _run_node(settings: "Config") -> int:
    import trio

    from peatd import node, surroundings
    from peatd.allocator import give_back_what_is_freed
    from peatd.errors import ConfigError, DiscoveryError, StoreError
    from peatd.garbage import collect_when_grown

    surroundings.allow_open_files()
    give_back_what_is_freed()
    # A service manager ends what hangs by SIGABRT: where it hung is then in its log.
    faulthandler.enable()
    # Measured: with the objects of the imports frozen and fewer collections, a message costs half.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)

    async def main() -> None:
        stopping = trio.Event()
        stop_in_order(trio.lowlevel.current_trio_token(), stopping)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(collect_when_grown, settings.memory // _GROWTH)
            await node.run(settings, stopping=stopping)
            nursery.cancel_scope.cancel()

    code = EXIT_STOPPED
    try:
        trio.run(main)
    except* (ConfigError, StoreError, DiscoveryError) as group:
        code = refuse(first(group))
    except* Exception as group:
        code = fail(group)
    return code


def _run_demo(demo: "Demo") -> int:
    from peatd.demo.run import run_demo
    from peatd.errors import ConfigError, DemoFailed

    code = EXIT_STOPPED
    try:
        run_demo(demo)
    except* ConfigError as group:
        code = refuse(first(group))
    except* DemoFailed as group:
        refuse(first(group))
        code = EXIT_FAULT
    return code


if __name__ == "__main__":
    main()
