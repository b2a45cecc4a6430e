"""`peat node`: who this node is."""

import msgspec
import typer

from cli.client import Answer
from cli.options import daemon, reply
from cli.render import NOTHING, duration, facts


class _Node(msgspec.Struct):
    node_id: str
    device_id: str
    public_key: str
    formation: str
    uptime_secs: float
    version: str
    addresses: dict[str, str | None]
    documents: int
    digest: str


def node(ctx: typer.Context) -> None:
    """Who this node is, and where it listens."""
    reply(ctx, daemon(ctx).ask("GET", "/node"), _text)


def _text(answer: Answer) -> str:
    found = answer.parse(_Node)
    return facts(
        [
            ("node id", found.node_id),
            ("device id", found.device_id),
            ("public key", found.public_key),
            ("formation", found.formation),
            ("version", found.version),
            ("up", duration(found.uptime_secs)),
            ("documents", str(found.documents)),
            ("digest", found.digest),
            *((f"listens {what}", where or NOTHING) for what, where in found.addresses.items()),
        ]
    )
