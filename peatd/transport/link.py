"""A link: an authenticated connection to a peer, and what is known of it.

A link's seam is an authenticated `trio.abc.Stream` and a `LinkPeer`: TLS on TCP, a relay circuit and a memory stream
are the same to everything above. `establish.py` makes links, `converse.py` runs them.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import trio

from peatd.names import Address, DeviceId, Fingerprint, NodeId
from peatd.wire.connection import Connection
from peatd.wire.messages import Goaway, Message

MAX_GOAWAY_MESSAGE = 1024
"""Characters; the wire's bound."""


@dataclass(frozen=True, slots=True)
class LinkPeer:
    """The node at the other end. The key is proven; `node_id`, `instance` and `version` are what it says of itself.

    Attributes:
        instance: 16 random bytes of its process. Our own device id with another instance is a twin, with ours it is
            ourselves.
        initiating: we dialled it.
        hears_awareness: its release knows what `Presence` messages are.
        hears_horizon: and what `Horizon` messages are.
        accepts: the formation secrets that it accepts, the one that it uses first; empty if its release does not say.
        proven_by: the secrets on which the link stands: the one that both proved, and the one whose CA signed the
            receiver's leaf.
        met_as: our own device id when the link was made.
        reads_summaries: its release knows `Having`, `Graft` and `Prune`.
        gossips: its release knows the messages about the mesh (wire/gossip.py).
        via: the URL of the relay that the link goes by; None if it goes directly.
        restricted: collections of which it does not hold all; None if its release knows nothing of that.
        links, max_links: how many it had when we met, and keeps at most; 0 if its release does not say.
    """

    node_id: NodeId
    device_id: DeviceId
    public_key: bytes
    instance: bytes
    version: str
    initiating: bool
    hears_awareness: bool = False
    hears_horizon: bool = False
    accepts: tuple[Fingerprint, ...] = ()
    proven_by: tuple[Fingerprint, ...] = ()
    met_as: DeviceId | None = None
    gossips: bool = False
    via: str | None = None
    reads_summaries: bool = False
    restricted: frozenset[str] | None = None
    links: int = 0
    max_links: int = 0


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """Why a link ended.

    Attributes:
        code: that of the GOAWAY, whoever sent it; else `eof` (closed in order, without a word), `cut`, or `silence`.
        message: a sentence for people.
        by_peer: the peer ended it on purpose: by GOAWAY, or by closing it.
    """

    code: str
    message: str
    by_peer: bool


class Side(Protocol):
    """What is said on a link beside documents; `Exchange` passes on what is meant for it."""

    def told(self, wake: Callable[[], None]) -> AbstractContextManager[None]:
        """While it lasts, there is something to take whenever `wake` was called."""

    def take(self) -> Sequence[Message]:
        """What to send next."""

    def received(self, message: Message) -> None:
        """Takes a message that may be for it. A `PeerError` ends the link."""


class Exchange(Protocol):
    """What replication gives to a link: where messages go, and where they come from."""

    async def received(self, message: Message) -> None:
        """Takes one message, in order; called by the link's one reader. Waiting here is backpressure on the peer.

        PING, PONG, GOAWAY and HELLO never arrive here. A `PeerError` ends the link, as the peer's fault.
        """

    async def run(self) -> None:
        """What it has to do beside; begins before the first message, is cancelled when the link ends."""

    async def next_batch(self) -> Sequence[Message]:
        """Waits until there is something to send. Called again once the last batch was handed to the socket."""


class Link:
    """One authenticated connection to a peer. `converse` owns it; others read it and may call `goaway`.

    Attributes:
        rtt: seconds from the last ping to its pong; None before the first.
        opened_at: on trio's clock, as is `last_heard`: when bytes came last.
        unanswered_since: when it was pinged, if nothing has come since; None otherwise, and while we do not listen.
        doubted: `converse` is to ping now; `heard` is set, and replaced by another, whenever bytes come.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        peer: LinkPeer,
        address: Address,
        *,
        connection: Connection | None = None,
        early: Sequence[Message] = (),
    ) -> None:
        """Takes over an authenticated stream.

        Args:
            connection: where the stream's framing stands, if bytes were received already.
            early: messages that came right behind HELLO, in the same read.
        """
        self.stream = stream
        self.peer = peer
        self.address = address
        self.connection = connection or Connection()
        self.early = tuple(early)
        self.rtt: float | None = None
        self.opened_at = self.last_heard = trio.current_time()
        self.unanswered_since: float | None = None
        self.received_bytes = self.received_messages = 0
        self.sent_bytes = self.sent_messages = self.sent_update_bytes = 0
        self.farewell: Goaway | None = None
        self.leaving = trio.Event()
        self.doubted = trio.Event()
        self.heard = trio.Event()

    def goaway(self, code: str, message: str) -> None:
        """Asks the link to tell the peer why, and end; only the first call counts.

        What is being sent is finished first. Before `converse` runs, it is what `converse` then does at once.
        """
        if not self.leaving.is_set():
            self.farewell = Goaway(code, message[:MAX_GOAWAY_MESSAGE])
            self.leaving.set()

    async def proves_alive(self, within: float) -> bool:
        """Pings the peer, and says whether anything was heard of it within so many seconds, or the link has ended."""
        self.doubted.set()
        with trio.move_on_after(within) as waiting:
            await self.heard.wait()
        return not waiting.cancelled_caught


@dataclass(slots=True)
class Traffic:
    """What went over links since the start."""

    links: int = 0
    sent_bytes: int = 0
    sent_messages: int = 0
    sent_update_bytes: int = 0
    received_bytes: int = 0
    received_messages: int = 0

    def add(self, link: Link) -> None:
        self.sent_bytes += link.sent_bytes
        self.sent_messages += link.sent_messages
        self.sent_update_bytes += link.sent_update_bytes
        self.received_bytes += link.received_bytes
        self.received_messages += link.received_messages
