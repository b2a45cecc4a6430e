"""`peat peers`: the other nodes that this one knows."""

import msgspec
import typer

from cli.client import Answer
from cli.options import daemon, reply
from cli.render import NOTHING, ago, duration, table

_HEADINGS = ("ID", "DEVICE ID", "STATE", "SOURCE", "ADDRESS", "RTT", "LAST SYNC", "OWED", "LAST ERROR")


class _Peer(msgspec.Struct):
    id: str
    device_id: str | None
    state: str
    rtt_ms: float | None
    source: str | None
    addresses: list[str]
    relay_url: str | None
    last_sync_secs: float | None
    owed_documents: int
    error: str | None


class _Peers(msgspec.Struct):
    peers: list[_Peer]


def peers(ctx: typer.Context) -> None:
    """The other nodes that this one knows. How it found each, whether it is linked, and what it is owed."""
    reply(ctx, daemon(ctx).ask("GET", "/peers"), _text)


def _text(answer: Answer) -> str:
    found = answer.parse(_Peers).peers
    return table(_HEADINGS, [_row(peer) for peer in found]) if found else "no peers yet\n"


def _row(peer: _Peer) -> tuple[str, ...]:
    return (
        peer.id,
        peer.device_id or NOTHING,
        peer.state,
        peer.source or NOTHING,
        ", ".join(peer.addresses) or peer.relay_url or NOTHING,
        NOTHING if peer.rtt_ms is None else duration(peer.rtt_ms / 1000),
        ago(peer.last_sync_secs),
        str(peer.owed_documents),
        peer.error or NOTHING,
    )
