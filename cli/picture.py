"""What the API says of the mesh, and the graph that it is."""

import json
from collections.abc import Iterator, Sequence

import msgspec

from cli.render import duration


class Link(msgspec.Struct):
    from_: str = msgspec.field(name="from")
    to: str
    rtt_ms: float | None


class Member(msgspec.Struct):
    id: str
    device_id: str
    state: str
    unreachable_secs: float | None


class Topology(msgspec.Struct):
    peer_count: int
    role: str
    hierarchy_level: int | str
    links: list[Link]
    members: list[Member] = []


_STYLES = {"self": "filled", "unreachable": "dashed", "left": "dotted", "suspected": "dashed"}


def neighbours(found: Topology) -> dict[str, dict[str, float | None]]:
    """By node id, whom each is linked to, and the round trip in milliseconds."""
    graph: dict[str, dict[str, float | None]] = {member.id: {} for member in found.members}
    for link in found.links:
        graph.setdefault(link.from_, {})[link.to] = link.rtt_ms
        graph.setdefault(link.to, {})[link.from_] = link.rtt_ms
    return graph


def beyond(found: Topology) -> Sequence[Member]:
    """Who cannot be reached."""
    return [member for member in found.members if member.state in ("unreachable", "left")]


def dot(found: Topology) -> str:
    """For Graphviz: `peat topology --dot | dot -Tsvg`."""
    return "\n".join(["graph peat {", *_dot_lines(found), "}"])


def _dot_lines(found: Topology) -> Iterator[str]:
    for member in found.members:
        style = _STYLES.get(member.state)
        yield f"  {_quoted(member.id)}" + (f" [style={style}];" if style else ";")
    for link in found.links:
        label = "" if link.rtt_ms is None else f" [label={_quoted(duration(link.rtt_ms / 1000))}]"
        yield f"  {_quoted(link.from_)} -- {_quoted(link.to)}{label};"


def _quoted(text: str) -> str:
    """Whatever it is, for it may come from another node: printable ASCII, in quotes."""
    return json.dumps(text)
