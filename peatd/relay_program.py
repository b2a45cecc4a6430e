"""`peat-relay`: a relay that is no node. It has no secret, no key, no documents and no disk."""

import sys
from typing import TYPE_CHECKING

from peatd.process import EXIT_STOPPED, fail, first, import_structlog, refuse, stop_at_once, stop_in_order

if TYPE_CHECKING:
    from peatd.settings.relay_program import RelayProgram

_NAME = "peat-relay"


def main() -> None:
    """Runs a relay until SIGTERM or SIGINT; exit codes as those of `peatd`."""
    stop_at_once()
    sys.exit(_run())


def _run() -> int:
    from peatd import config
    from peatd.errors import ConfigError

    try:
        program = config.load_relay()
        config.forget_service_manager()
    except ConfigError as error:
        return refuse(error, _NAME)
    import_structlog()
    from peatd.log import open_log

    try:
        with open_log(level=program.log_level, form=program.log_format):
            return _serve(program)
    except OSError as error:
        return refuse(error, _NAME)


def _serve(program: "RelayProgram") -> int:
    import trio

    from peatd import surroundings
    from peatd.errors import ConfigError
    from peatd.relay.alone import run_relay

    surroundings.allow_open_files()

    async def main() -> None:
        stopping = trio.Event()
        stop_in_order(trio.lowlevel.current_trio_token(), stopping)
        await run_relay(program, stopping)

    code = EXIT_STOPPED
    try:
        trio.run(main)
    except* ConfigError as group:
        code = refuse(first(group), _NAME)
    except* Exception as group:
        code = fail(group, _NAME)
    return code
