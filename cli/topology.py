"""`peat topology`: who is linked to whom, as far as this node knows."""

import msgspec
import typer

from cli.client import Answer
from cli.options import daemon, reply
from cli.render import NOTHING, duration, facts, table


class _Link(msgspec.Struct):
    from_: str = msgspec.field(name="from")
    to: str
    rtt_ms: float | None


class _Topology(msgspec.Struct):
    peer_count: int
    role: str
    hierarchy_level: int | str
    links: list[_Link]


def topology(ctx: typer.Context) -> None:
    """Who is linked to whom, as far as this node knows."""
    reply(ctx, daemon(ctx).ask("GET", "/topology"), _text)


def _text(answer: Answer) -> str:
    found = answer.parse(_Topology)
    text = facts(
        [("peers", str(found.peer_count)), ("role", found.role), ("hierarchy level", str(found.hierarchy_level))]
    )
    links = [
        (link.from_, link.to, NOTHING if link.rtt_ms is None else duration(link.rtt_ms / 1000)) for link in found.links
    ]
    return text + "\n" + table(("FROM", "TO", "RTT"), links) if links else text
