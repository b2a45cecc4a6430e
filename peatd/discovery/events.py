"""What discovery says: who was found, who changed, who is gone. Sans-IO.

The words are peat-mesh's: `PeerInfo`, `PeerFound`, `PeerUpdated`, `PeerLost`, `DiscoveryStrategy`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import trio

from peatd.names import Address, NodeId


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """One peer as a source knows it: where it may be reached, and what is said of it.

    Attributes:
        node_id: the pod's name, a static peer's name, or `HOST:PORT` where nobody has named it yet.
        relay_url: where a relay for it listens; never part of `metadata`.
        metadata: annotations under the configured prefix, the prefix removed.
    """

    node_id: NodeId
    addresses: tuple[Address, ...]
    relay_url: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PeerFound:
    peer: PeerInfo


@dataclass(frozen=True, slots=True)
class PeerUpdated:
    """Addresses, relay URL or metadata of a known peer changed; `peer` is all of it, anew."""

    peer: PeerInfo


@dataclass(frozen=True, slots=True)
class PeerLost:
    node_id: NodeId


DiscoveryEvent = PeerFound | PeerUpdated | PeerLost


@dataclass(frozen=True, slots=True)
class DiscoveryStatus:
    """Readiness of a source: ready from its first complete list on, for ever after; `message` says why not, or
    since when and why what it knows is stale."""

    ready: bool
    message: str | None = None


class DiscoveryStrategy(Protocol):
    """A source of peers."""

    @property
    def source(self) -> str:
        """`kubernetes`, `static`, …: what `GET /peers` calls it."""

    async def start(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until `stop()` or cancelled; `task_status.started()` once it works on its first list.

        Raises:
            DiscoveryError: if it can never work as configured (no cluster, no kubeconfig), before `started()`.
        """

    def stop(self) -> None:
        """Lets `start()` return soon; does nothing when it is not running."""

    def discovered_peers(self) -> Sequence[PeerInfo]:
        """All that are known now."""

    def event_stream(self) -> trio.MemoryReceiveChannel[DiscoveryEvent]:
        """The events from the first list on; ends when `start()` does.

        Raises:
            EventStreamConsumed: the second time.
        """

    def status(self) -> DiscoveryStatus: ...
