"""`peat-relay`: what it is to do, from the flags and the environment. Sans-IO."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from peatd.errors import ConfigError
from peatd.names import Address
from peatd.settings import relay_table
from peatd.settings.flags import Flags, Program
from peatd.settings.relays import RelaySettings, relay_settings
from peatd.settings.sources import File, Sources
from peatd.settings.table import LOG_FORMAT, LOG_LEVEL

PEAT_RELAY = Program(
    "peat-relay",
    """\
Runs a relay in the foreground, and nothing else: nodes of the formations that it serves, which cannot reach each other,
link through it. It keeps nothing, and what it passes on it cannot read. Logs go to stderr. SIGTERM or SIGINT stops it,
a second one at once.""",
    """\
A flag counts before the environment, the environment before the default. An empty variable is as good as none.
exit codes: 0 stopped in order, 1 fault, 2 usage or configuration, 130 second signal""",
    (
        ("this relay", relay_table.BEING),
        ("to watch it", (relay_table.STATUS,)),
        ("logs", (LOG_LEVEL, LOG_FORMAT)),
    ),
)


@dataclass(frozen=True, slots=True)
class RelayProgram:
    """Attributes:
    status: where it tells how it is; None for nowhere.
    """

    relay: RelaySettings
    status: Address | None
    log_level: str
    log_format: str


def relay_program(flags: Flags, environ: Mapping[str, str], log_format: Callable[[], tuple[str, str]]) -> RelayProgram:
    """
    Raises:
        ConfigError: if a setting is wrong or missing.
    """
    environ = {name: text for name, text in environ.items() if name not in _OF_NODES}
    sources = Sources(flags.texts, environ, File(Path("no file"), {}))
    program = RelayProgram(
        relay=relay_settings(sources, environ),
        status=sources.take_optional(relay_table.STATUS),
        log_level=sources.take(LOG_LEVEL),
        log_format=sources.take(LOG_FORMAT, log_format),
    )
    if program.relay.relay_listen is None:
        raise ConfigError(f"{relay_table.RELAY_LISTEN.flag} is not set: say where the relay listens, as 0.0.0.0:443")
    if not program.relay.relay_allow:
        flag = relay_table.RELAY_ALLOW.flag
        raise ConfigError(
            f"{flag} is not set: nobody would be let in; `peat secret relay-key` prints a formation's key"
        )
    return program


_OF_NODES = frozenset(variable for setting in relay_table.USING for variable in setting.variables)
"""What says which relays a node uses."""
