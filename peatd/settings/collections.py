"""`[collections.NAME]` of the settings file: what holds for the documents of one collection. Sans-IO."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from peatd.errors import ConfigError, InvalidName
from peatd.interest import ALL, LINGERS, MAX_COPIES, SUBSCRIBED, Copies
from peatd.names import document_name
from peatd.settings.sources import COLLECTIONS, File, as_text, parse
from peatd.settings.table import TEN_YEARS
from peatd.settings.values import seconds

_TTL, _REPLICATE, _SUBSCRIBE, _LINGER = "ttl", "replicate", "subscribe", "linger"
_KEYS = (_TTL, _REPLICATE, _SUBSCRIBE, _LINGER)

_MAX_RESTRICTED = 256
"""Collections that are not everywhere: each node names its own to each peer."""


@dataclass(frozen=True, slots=True)
class Collections:
    """Attributes:
    ttls: collection → seconds that its documents live after their last change.
    copies: those that are not everywhere.
    """

    ttls: Mapping[str, float] = field(default_factory=dict)
    copies: Mapping[str, Copies] = field(default_factory=dict)


def collections_of(file: File) -> Collections:
    """What the file says of collections.

    Raises:
        ConfigError: for what is no collection, no setting of one, or no value of that.
    """
    tables = file.keys.get(COLLECTIONS, {})
    if not isinstance(tables, Mapping):
        raise ConfigError(f"{file.origin(COLLECTIONS)} is not a table: write [{COLLECTIONS}.NAME] before its settings")
    ttls: dict[str, float] = {}
    copies: dict[str, Copies] = {}
    for name, table in tables.items():
        origin = file.origin(f"{COLLECTIONS}.{name}")
        settings = _checked(name, table, origin)
        if _TTL in settings:
            ttl = as_text(settings[_TTL], f"{origin}.{_TTL}")
            ttls[name] = parse(seconds(1, TEN_YEARS), ttl, f"{origin}.{_TTL}")
        number, is_everywhere = _replicate(settings.get(_REPLICATE, ALL), f"{origin}.{_REPLICATE}")
        patterns = _subscribe(settings.get(_SUBSCRIBE, []), f"{origin}.{_SUBSCRIBE}")
        if not is_everywhere:
            linger = as_text(settings.get(_LINGER, LINGERS), f"{origin}.{_LINGER}")
            copies[name] = Copies(number, patterns, parse(seconds(1, TEN_YEARS), linger, f"{origin}.{_LINGER}"))
        elif _LINGER in settings or patterns:
            raise ConfigError(f"{origin}: all its documents are here: set {_REPLICATE} too, or remove it")
    if len(copies) > _MAX_RESTRICTED:
        raise ConfigError(f"{file.origin(COLLECTIONS)}: {_REPLICATE} is set for more than {_MAX_RESTRICTED}")
    return Collections(ttls, copies)


def _checked(name: str, table: object, origin: str) -> Mapping[str, object]:
    if not isinstance(table, Mapping):
        raise ConfigError(f"{origin} is not a table: write [{COLLECTIONS}.NAME] before its settings")
    try:
        document_name(name, "any")
    except InvalidName as exc:
        raise ConfigError(f"{origin}: {exc}") from exc
    for key in table:
        if key not in _KEYS:
            raise ConfigError(f"{origin}.{key} is no setting: a collection has {', '.join(_KEYS)}")
    return table


def _replicate(value: object, origin: str) -> tuple[int | None, bool]:
    """How many copies there are to be, where that is a number; and whether they are everywhere."""
    if value in (ALL, SUBSCRIBED):
        return None, value == ALL
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_COPIES:
        return value, False
    raise ConfigError(f'{origin}: {value!r} will not do: it is "{ALL}", "{SUBSCRIBED}", or a number up to {MAX_COPIES}')


def _subscribe(value: object, origin: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(pattern, str) for pattern in value):
        raise ConfigError(f'{origin}: write a list of patterns of document ids, as in ["site-7-*"]')
    return tuple(value)


def as_toml(collections: Collections, origin: str) -> Iterator[str]:
    """The tables that give the same again."""
    for name in dict.fromkeys((*collections.ttls, *collections.copies)):
        yield f"[{COLLECTIONS}.{json.dumps(name)}]  # {origin}"
        if name in collections.ttls:
            yield f"{_TTL} = {collections.ttls[name]}"
        copies = collections.copies.get(name)
        if copies is not None:
            yield f"{_REPLICATE} = {json.dumps(SUBSCRIBED if copies.number is None else copies.number)}"
            yield f"{_LINGER} = {copies.linger}"
            if copies.subscribe:
                yield f"{_SUBSCRIBE} = {json.dumps(list(copies.subscribe))}"
