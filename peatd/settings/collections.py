"""`[collections.NAME]` of the settings file: what holds for the documents of one collection. Sans-IO."""

import json
from collections.abc import Iterator, Mapping

from peatd.errors import ConfigError, InvalidName
from peatd.names import document_name
from peatd.settings.sources import COLLECTIONS, File, as_text, parse
from peatd.settings.table import TEN_YEARS
from peatd.settings.values import seconds

_TTL = "ttl"


def ttls_of(file: File) -> dict[str, float]:
    """Collection → seconds that its documents live after their last change.

    Raises:
        ConfigError: for what is no collection, no setting of one, or no time.
    """
    tables = file.keys.get(COLLECTIONS, {})
    if not isinstance(tables, Mapping):
        raise ConfigError(f"{file.origin(COLLECTIONS)} is not a table: write [{COLLECTIONS}.NAME] before its settings")
    return {name: ttl for name, table in tables.items() for ttl in _ttl(file, name, table)}


def _ttl(file: File, name: str, table: object) -> Iterator[float]:
    origin = file.origin(f"{COLLECTIONS}.{name}")
    if not isinstance(table, Mapping):
        raise ConfigError(f"{origin} is not a table: write [{COLLECTIONS}.NAME] before its settings")
    try:
        document_name(name, "any")
    except InvalidName as exc:
        raise ConfigError(f"{origin}: {exc}") from exc
    for key, value in table.items():
        if key != _TTL:
            raise ConfigError(f"{origin}.{key} is no setting: a collection has {_TTL}")
        yield parse(seconds(1, TEN_YEARS), as_text(value, f"{origin}.{key}"), f"{origin}.{key}")


def as_toml(ttls: Mapping[str, float], origin: str) -> Iterator[str]:
    """The tables that give the same again."""
    for name, ttl in ttls.items():
        yield f"[{COLLECTIONS}.{json.dumps(name)}]  # {origin}"
        yield f"{_TTL} = {ttl}"
