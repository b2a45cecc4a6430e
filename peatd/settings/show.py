"""All settings as they are, each with its origin: what `--print-config` prints. Sans-IO.

It is TOML: saved as a file it gives the same settings again. Secrets are not in it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from peatd.names import StaticPeer
from peatd.settings import collections
from peatd.settings.collections import Collections
from peatd.settings.table import DISCOVERY, FORMATION_SECRET_FILE, GROUPS, PEER
from peatd.settings.values import NONE


def as_toml(
    values: Mapping[str, object], origins: Mapping[str, str], of_collections: Collections, collections_origin: str
) -> str:
    """The settings by name, in the table's order; peers and collections last, for TOML wants its tables there."""
    lines: list[str] = []
    for title, settings in GROUPS:
        lines.append(f"# {title}")
        for setting in settings:
            value, origin = values[setting.name], origins[setting.name]
            if setting.name == PEER.name and value:
                continue
            lines.append(_line(setting.name, value, origin))
        lines.append("")
    peers = values[PEER.name]
    assert isinstance(peers, tuple)
    lines.extend(_peer_tables(peers, origins[PEER.name]))
    lines.extend(collections.as_toml(of_collections, collections_origin))
    return "\n".join(lines).rstrip("\n") + "\n"


def _line(name: str, value: object, origin: str) -> str:
    if name == FORMATION_SECRET_FILE.name and value is None and origin.startswith("PEAT_FORMATION_SECRET "):
        return f"# formation_secret is set, not shown  # {origin}"
    if value is None or (value == () and name != DISCOVERY.name):
        return f"# {name} is not set"
    return f"{name} = {_toml(name, value)}  # {origin}"


def _toml(name: str, value: object) -> str:
    match value:
        case int() | float():
            return str(value)
        case tuple() if value and all(isinstance(item, Path) for item in value):
            return _quoted(":".join(str(item) for item in value))
        case tuple() if name == DISCOVERY.name:
            return _quoted(",".join(value) or NONE)
        case tuple():
            return f"[{', '.join(_quoted(str(item)) for item in value)}]"
        case _:
            return _quoted(str(value))


def _peer_tables(peers: Sequence[StaticPeer], origin: str) -> Iterator[str]:
    for peer in peers:
        yield f"[[peers]]  # {origin}"
        yield f"address = {_quoted(str(peer.address))}"
        if peer.name is not None:
            yield f"name = {_quoted(peer.name)}"
        if peer.relay_url is not None:
            yield f"relay_url = {_quoted(peer.relay_url)}"


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are among its own; only DEL has to be escaped besides."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
