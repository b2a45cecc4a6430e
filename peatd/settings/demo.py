"""`--demo`: what to run, from the flags and the environment. Sans-IO."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from peatd.errors import ConfigError
from peatd.settings.flags import Flags
from peatd.settings.sources import parse
from peatd.settings.table import DATA_DIR, ENGINE, ENGINE_WORKERS, LOG_FORMAT, LOG_LEVEL, SETTINGS

_PASSED_ON = (ENGINE, ENGINE_WORKERS, LOG_LEVEL, LOG_FORMAT)
_KEPT_OUT = ("PEAT_", "KUBERNETES_", "KUBECONFIG", "HOSTNAME", "NOTIFY_SOCKET", "WATCHDOG_")
"""Beginnings of variables that say what a node of this machine does: the three of a demo would be one, or none."""


@dataclass(frozen=True, slots=True)
class Demo:
    """Attributes:
    directory: for all that the nodes keep; None: one that is removed at the end.
    flags: that each node gets besides its own.
    variables: the environment of each node.
    """

    directory: Path | None
    opens_browser: bool
    flags: Sequence[str]
    variables: Mapping[str, str]


def demo_of(flags: Flags, environ: Mapping[str, str]) -> Demo | None:
    """None where no demo is asked for.

    Raises:
        ConfigError: if a flag has no part in a demo, or belongs to one.
    """
    if not flags.demo:
        if flags.no_browser:
            raise ConfigError("--no-browser belongs to --demo: leave it out, or add --demo")
        return None
    for setting in SETTINGS:
        if setting.name in flags.texts and setting is not DATA_DIR and setting not in _PASSED_ON:
            raise ConfigError(f"{setting.flag} has no part in --demo, which sets up its nodes itself: leave it out")
    if flags.config is not None or flags.print_config:
        flag = "--print-config" if flags.print_config else "--config"
        raise ConfigError(f"{flag} has no part in --demo, which sets up its nodes itself: leave it out")
    given = flags.texts.get(DATA_DIR.name)
    passed_on: list[str] = []
    for setting in _PASSED_ON:
        for text in flags.texts.get(setting.name, ()):
            parse(setting.parse, text, setting.flag)  # a mistake is one line of ours, not three of theirs
            passed_on += [setting.flag, text]
    return Demo(
        directory=parse(DATA_DIR.parse, given[0], DATA_DIR.flag).absolute() if given else None,
        opens_browser=not flags.no_browser,
        flags=passed_on,
        variables={name: value for name, value in environ.items() if not name.startswith(_KEPT_OUT)},
    )
