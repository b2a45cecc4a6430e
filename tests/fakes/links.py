"""Nodes that link with each other: credentials, HELLOs, and links that need no TLS."""

import functools
import hashlib
from collections.abc import Sequence

import trio
from trio.testing import memory_stream_pair

from peatd import __version__
from peatd.formation import Formation
from peatd.identity import Keypair
from peatd.names import Address, NodeId
from peatd.papers.certificates import mint
from peatd.transport import Credentials, Link, LinkPeer
from peatd.transport.tls import order_papers
from peatd.wire.messages import MAX_FRAME_BYTES, PROTOCOL, Hello, Message

SECRET = b"\x2a" * 32
OTHER_SECRET = b"\x2b" * 32


@functools.cache
def credentials(node_id: str = "peat-mesh-0", *secrets: bytes, formation: str = "peat") -> Credentials:
    """Those of a node whose key follows from the formation's last secret: rotation gives it no other key."""
    accepted = secrets or (SECRET,)
    keypair = Keypair.from_seed(accepted[-1], node_id)
    member_of = Formation(formation, accepted)
    return Credentials(keypair, member_of, mint(order_papers(keypair, member_of)))


def hello(node_id: str = "peat-mesh-0", *, formation: str = "peat", protocol: int = PROTOCOL) -> Hello:
    return Hello(protocol, node_id, formation, instance_of(node_id), MAX_FRAME_BYTES, __version__)


def instance_of(node_id: str) -> bytes:
    return hashlib.sha256(node_id.encode()).digest()[:16]


def peer(node_id: str, *, initiating: bool, restricted: frozenset[str] | None = frozenset()) -> LinkPeer:
    keypair = Keypair.from_seed(SECRET, node_id)
    secrets = Formation("peat", (SECRET,)).fingerprints
    return LinkPeer(
        *(NodeId(node_id), keypair.device_id, keypair.public_key, instance_of(node_id), __version__, initiating),
        hears_horizon=True,
        gossips=True,
        reads_summaries=True,
        restricted=restricted,
        accepts=secrets,
        proven_by=secrets,
    )


def memory_links(
    initiator: str = "alice",
    receiver: str = "bob",
    *,
    streams: tuple[trio.abc.Stream, trio.abc.Stream] | None = None,
    restricted: Sequence[frozenset[str] | None] = (frozenset(), frozenset()),
) -> tuple[Link, Link]:
    """The two ends of a proven link over memory streams: the initiator's, then the receiver's. Call it inside trio."""
    ours, theirs = streams or memory_stream_pair()
    return (
        Link(ours, peer(receiver, initiating=True, restricted=restricted[1]), Address(receiver, 11204)),
        Link(theirs, peer(initiator, initiating=False, restricted=restricted[0]), Address(initiator, 40000)),
    )


class Inbox:
    """An exchange that keeps what comes, and sends what it is told to."""

    def __init__(self) -> None:
        self._incoming, self.messages = trio.open_memory_channel[Message](1024)
        self._batches, self._outgoing = trio.open_memory_channel[Sequence[Message]](1024)

    async def received(self, message: Message) -> None:
        await self._incoming.send(message)

    async def run(self) -> None:
        """Has nothing to do."""

    async def next_batch(self) -> Sequence[Message]:
        return await self._outgoing.receive()

    def send(self, *messages: Message) -> None:
        self._batches.send_nowait(messages)

    def taken(self) -> list[Message]:
        """All that came and was not taken yet."""
        taken: list[Message] = []
        try:
            while True:
                taken.append(self.messages.receive_nowait())
        except trio.WouldBlock:
            return taken
