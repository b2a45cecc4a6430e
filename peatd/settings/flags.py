"""The command line of `peatd`. Sans-IO, but for argparse printing `--help` and `--version`."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from peatd import __version__
from peatd.errors import ConfigError
from peatd.settings.setting import Setting
from peatd.settings.table import GROUPS

_DESCRIPTION = """\
Runs one node of a mesh in the foreground: finds the other nodes of its formation, links with them and replicates
documents. Logs go to stderr. SIGTERM or SIGINT stops it in order, a second one at once."""
_EPILOG = """\
A flag counts before the environment, the environment before the file (TOML, keys are the flags' names with _), the
file before the default. An empty variable is as good as none.
exit codes: 0 stopped in order, 1 fault, 2 usage or configuration, 130 second signal"""


@dataclass(frozen=True, slots=True)
class Flags:
    """The command line, taken apart. `texts` has what was given, by the setting's name."""

    texts: Mapping[str, Sequence[str]]
    config: str | None
    print_config: bool
    demo: bool
    no_browser: bool


@dataclass(frozen=True, slots=True)
class Program:
    """What a command line is of.

    Attributes:
        groups: its settings, with their titles.
        is_node: it reads a file, too, and has the flags that only `peatd` has.
    """

    name: str
    description: str
    epilog: str
    groups: Sequence[tuple[str, Sequence[Setting[object]]]]
    is_node: bool = False


PEATD = Program("peatd", _DESCRIPTION, _EPILOG, GROUPS, is_node=True)


def parse_flags(arguments: Sequence[str], program: Program = PEATD) -> Flags:
    """Takes the command line apart; the values are still text.

    Raises:
        ConfigError: for an unknown flag, a missing value, or one flag given twice that counts once.
        SystemExit: after printing for `--help` and `--version`.
    """
    parsed = vars(_parser(program).parse_args(arguments))
    texts: dict[str, Sequence[str]] = {}
    for setting in (setting for _, group in program.groups for setting in group):
        given: list[str] | None = parsed[setting.name]
        if given is None:
            continue
        if len(given) > 1 and not setting.repeatable:
            raise ConfigError(f"{setting.flag} is given {len(given)} times: keep one")
        texts[setting.name] = given
    return Flags(
        texts=texts,
        config=parsed.get("config"),
        print_config=parsed.get("print_config", False),
        demo=parsed.get("demo", False),
        no_browser=parsed.get("no_browser", False),
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message.removeprefix('argument ')}; see `{self.prog} --help`")


class _Format(argparse.RawDescriptionHelpFormatter):
    """What a flag means in a column of its own; where else it is set, and its default, on lines of their own."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return [line for part in text.split("\n") for line in super(_Format, self)._split_lines(part, width)]


def _parser(program: Program) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=program.name,
        usage=f"{program.name} [options]",
        description=program.description,
        epilog=program.epilog,
        formatter_class=_Format,
        # An abbreviation that works today would mean something else, or nothing, in the next release.
        allow_abbrev=False,
        add_help=False,
    )
    for title, settings in program.groups:
        group = parser.add_argument_group(title)
        for setting in settings:
            # Repetitions are collected, so that the second of one that counts once can be refused.
            group.add_argument(setting.flag, metavar=setting.metavar, action="append", help=_help(setting))
    if program.is_node:
        _add_node_flags(parser)
    group = parser.add_argument_group("more")
    version = f"{program.name} {__version__}"
    group.add_argument("--version", action="version", version=version, help="print the version")
    group.add_argument("--help", "-h", action="help", help="print this")
    return parser


def _add_node_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("to see it work")
    group.add_argument(
        "--demo",
        action="store_true",
        help="start three nodes on this machine and show a page to write on\n"
        "[what they keep is removed at the end, or stays in --data-dir]",
    )
    group.add_argument("--no-browser", action="store_true", help="with --demo: do not open the page, only say where")
    group = parser.add_argument_group("settings")
    group.add_argument(
        "--config",
        metavar="FILE",
        help="settings in TOML\n[PEAT_CONFIG; default: /etc/peat/config.toml if there]",
    )
    group.add_argument("--print-config", action="store_true", help="print every setting with its origin, and exit")


def _help(setting: Setting[object]) -> str:
    variables = ", ".join(setting.variables)
    if setting.port_variable:
        variables += f", {setting.port_variable} for the port alone"
    return f"{setting.meaning}\n[{variables}; default: {setting.default or setting.otherwise}]".replace("%", "%%")
