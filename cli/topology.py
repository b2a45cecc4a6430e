"""`peat topology`: the members of the mesh, and who is linked to whom, as far as this node knows."""

import sys
from typing import Annotated

import typer

from cli.client import Answer
from cli.drawing import draw
from cli.options import daemon, options, reply
from cli.outcome import Exit, Stop
from cli.picture import Link, Topology, dot
from cli.render import NOTHING, ago, duration, facts, table


def topology(
    ctx: typer.Context,
    as_dot: Annotated[bool, typer.Option("--dot", help="Print a graph for Graphviz.")] = False,
) -> None:
    """Who is in the mesh and linked to whom, as far as this node knows. Drawn on a terminal, else as tables."""
    if as_dot and options(ctx).as_json:
        raise Stop(Exit.USAGE, "--dot and --json are two formats: choose one")
    is_seen = sys.stdout is not None and sys.stdout.isatty()
    reply(ctx, daemon(ctx).ask("GET", "/topology"), _dot if as_dot else _drawing if is_seen else _text)


def _dot(answer: Answer) -> str:
    return dot(answer.parse(Topology))


def _drawing(answer: Answer) -> str:
    return draw(answer.parse(Topology))


def _text(answer: Answer) -> str:
    found = answer.parse(Topology)
    text = facts(
        [("peers", str(found.peer_count)), ("role", found.role), ("hierarchy level", str(found.hierarchy_level))]
    )
    if found.members:
        rows = [(one.id, one.device_id, one.state, _since(one.unreachable_secs)) for one in found.members]
        text += "\n" + table(("MEMBER", "DEVICE ID", "STATE", "UNREACHABLE SINCE"), rows)
    if found.links:
        text += "\n" + table(("FROM", "TO", "RTT"), [(link.from_, link.to, _rtt(link)) for link in found.links])
    return text


def _since(seconds: float | None) -> str:
    return NOTHING if seconds is None else ago(seconds)


def _rtt(link: Link) -> str:
    return NOTHING if link.rtt_ms is None else duration(link.rtt_ms / 1000)
