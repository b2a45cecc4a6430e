"""Where a setting's value comes from: flag, environment, file, default, in this order. Sans-IO.

Rules:
1. The first source that has a setting decides; the others are not looked at.
2. An empty variable is as good as none. An empty flag or an empty value in the file is a value, and wrong.
3. Every error names the origin, what was found and what to do, in one line.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from peatd.errors import ConfigError
from peatd.names import Address, StaticPeer
from peatd.settings.setting import Setting
from peatd.settings.table import PEER, SETTINGS
from peatd.settings.values import parse_node_id, parse_peer, parse_port, parse_relay_url

T = TypeVar("T")

BUILT_IN = "default"
COLLECTIONS = "collections"
_PEERS_TABLE = "peers"
_PEER_KEYS = ("address", "name", "relay_url")


@dataclass(frozen=True, slots=True)
class File:
    """A settings file, parsed as TOML. Without one: no keys."""

    path: Path
    keys: Mapping[str, object]

    def origin(self, key: str) -> str:
        return f"{self.path}: {key if key.isprintable() else repr(key)}"


@dataclass(frozen=True, slots=True)
class _Given:
    texts: Sequence[str]
    origin: str


class Sources:
    """Takes settings out of what was given, and remembers where each came from.

    Attributes:
        file: where what is of no single setting stands.
        origins: of every setting that was taken, for messages and `--print-config`.
    """

    def __init__(self, flags: Mapping[str, Sequence[str]], environ: Mapping[str, str], file: File) -> None:
        """
        Raises:
            ConfigError: if the file has a key that is no setting.
        """
        self._flags = flags
        self._environ = environ
        self.file = file
        self.origins: dict[str, str] = {}
        known = {setting.name for setting in SETTINGS} | {_PEERS_TABLE, COLLECTIONS}
        for key in file.keys:
            if key not in known:
                raise ConfigError(f"{file.origin(key)} is no setting: remove it; `peatd --help` lists all")

    def take(self, setting: Setting[T], otherwise: Callable[[], tuple[T, str]] | None = None) -> T:
        """The value of a setting that has one value, given or by default.

        Args:
            otherwise: finds the default and says where, for a setting without a fixed one.
        """
        given = self._given(setting)
        if given is not None:
            value = parse(setting.parse, given.texts[0], given.origin)
            self._refuse_relative_path(setting, value, given.origin)
            self.origins[setting.name] = given.origin
        elif setting.default is not None:
            value, self.origins[setting.name] = setting.parse(setting.default), BUILT_IN
        else:
            assert otherwise is not None, f"{setting.name} has no default"
            value, self.origins[setting.name] = otherwise()
        return value

    def take_optional(self, setting: Setting[T]) -> T | None:
        """The value of a setting that may be left out."""
        if self._given(setting) is None:
            self.origins[setting.name] = BUILT_IN
            return None
        return self.take(setting)

    def take_all(self, setting: Setting[T]) -> tuple[T, ...]:
        """All values of a repeatable setting, each once."""
        given = self._given(setting)
        self.origins[setting.name] = given.origin if given else BUILT_IN
        texts = given.texts if given else ()
        return tuple(dict.fromkeys(parse(setting.parse, text, self.origins[setting.name]) for text in texts))

    def take_address(
        self, setting: Setting[Address], otherwise: Callable[[], tuple[Address, str]] | None = None
    ) -> Address:
        """An address whose port alone can be set by a variable: it counts before the file and after the flag."""
        address = self.take(setting, otherwise)
        variable = setting.port_variable
        if variable is None or not self._environ.get(variable) or setting.name in self._flags:
            return address
        origin = _variable_origin(variable)
        port = parse(parse_port, self._environ[variable], origin)
        whole = self._from_environment(setting)
        if whole is not None:
            if port != address.port:
                raise ConfigError(f"{whole.origin} says port {address.port} and {origin} {port}: keep one of the two")
            return address
        self.origins[setting.name] = origin
        return replace(address, port=port)

    def take_peers(self) -> tuple[StaticPeer, ...]:
        """The static peers: of the flags, else of the environment, else of the file's list and its tables."""
        peers = self.take_all(PEER)
        tables = self.file.keys.get(_PEERS_TABLE)
        given = self._given(PEER)
        if tables is None or (given is not None and given.origin != self.file.origin(PEER.name)):
            return peers
        origin = self.file.origin(_PEERS_TABLE)
        if not isinstance(tables, list):
            raise ConfigError(f"{origin} is not a list of tables: write [[{_PEERS_TABLE}]] before each peer")
        self.origins[PEER.name] = origin
        listed = (_peer(table, f"{origin}[{number}]") for number, table in enumerate(tables))
        return tuple(dict.fromkeys((*peers, *listed)))

    def _given(self, setting: Setting[object]) -> _Given | None:
        if setting.name in self._flags:
            return _Given(self._flags[setting.name], setting.flag)
        return self._from_environment(setting) or self._from_file(setting)

    def _from_environment(self, setting: Setting[object]) -> _Given | None:
        for variable in setting.variables:
            text = self._environ.get(variable, "")
            texts = [part.strip() for part in text.split(",")] if setting.repeatable else [text]
            texts = [part for part in texts if part]
            if texts:
                return _Given(texts, _variable_origin(variable))
        return None

    def _from_file(self, setting: Setting[object]) -> _Given | None:
        if setting.name not in self.file.keys:
            return None
        value = self.file.keys[setting.name]
        origin = self.file.origin(setting.name)
        items = value if setting.repeatable and isinstance(value, list) else [value]
        return _Given([as_text(item, origin) for item in items], origin)

    def _refuse_relative_path(self, setting: Setting[object], value: object, origin: str) -> None:
        if origin == self.file.origin(setting.name) and isinstance(value, Path) and not value.is_absolute():
            # A service's working directory is an accident.
            raise ConfigError(f"{origin}: {str(value)!r} is not a whole path: begin it with '/'")


def parse(parser: Callable[[str], T], text: str, origin: str) -> T:
    """The value of `text`, or ConfigError with its origin."""
    try:
        return parser(text)
    except ValueError as exc:
        hint = ""
        if text.startswith("tcp://") and parser is not parse_relay_url:
            # For a Service `peat-broker` every pod of the namespace gets PEAT_BROKER_PORT=tcp://….
            hint = "; Kubernetes sets such a variable for a Service of that name: set enableServiceLinks: false"
        raise ConfigError(f"{origin}: {exc}{hint}") from exc


def _variable_origin(variable: str) -> str:
    return f"{variable} (environment)"


def as_text(value: object, origin: str) -> str:
    """A TOML value as the text that a flag would have. Numbers may stand without quotes."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ConfigError(f"{origin} is a TOML {_toml_type(value)}: write text in quotes, as you would after the flag")
    return str(value)


def _toml_type(value: object) -> str:
    return {bool: "boolean", list: "array", dict: "table"}.get(type(value), "date or time")


def _peer(table: object, origin: str) -> StaticPeer:
    """One `[[peers]]` table."""
    if not isinstance(table, dict):
        raise ConfigError(f"{origin} is not a table: write [[{_PEERS_TABLE}]] before each peer")
    for key in table:
        if key not in _PEER_KEYS:
            raise ConfigError(f"{origin}.{key!r} is no setting: a peer has {', '.join(_PEER_KEYS)}")
    if "address" not in table:
        raise ConfigError(f'{origin} has no address: write address = "HOST:PORT"')
    texts = {key: as_text(value, f"{origin}.{key}") for key, value in table.items()}
    if "@" in texts["address"]:
        raise ConfigError(f"{origin}.address: {texts['address']!r} holds a name: write it as name = …")
    name = parse(parse_node_id, texts["name"], f"{origin}.name") if "name" in texts else None
    relay_url = None
    if "relay_url" in texts:
        relay_url = parse(parse_relay_url, texts["relay_url"], f"{origin}.relay_url").text
    address = parse(parse_peer, texts["address"], f"{origin}.address").address
    return StaticPeer(name, address, relay_url)
