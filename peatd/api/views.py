"""The JSON of the HTTP API, and what the API needs of a node.

Field names are the interface contract's: scripts, dashboards and probes read them.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from peatd.api.custody_views import Custody
from peatd.api.topology_views import TopologyView
from peatd.events import EventLog
from peatd.library import Library
from peatd.measures import Durations, Measure
from peatd.readiness import Report

PeerState = Literal["linked", "dialing", "backing-off", "reachable", "lost"]

DIRECT = "direct"
"""How a link goes that goes by no relay."""


class HealthView(msgspec.Struct, frozen=True):
    """`message` says what is stuck, when something is."""

    status: Literal["healthy", "unhealthy"]
    node_id: str
    message: str | UnsetType = UNSET


class CheckView(msgspec.Struct, frozen=True):
    name: str
    ready: bool
    message: str | None


class ReadyView(msgspec.Struct, frozen=True):
    ready: bool
    node_id: str
    checks: Sequence[CheckView]


class RelayView(msgspec.Struct, frozen=True):
    """How a node stands with a relay that it uses; `since_secs`: for how long so; `error`: why it is not registered."""

    url: str
    state: Literal["registered", "connecting", "backing-off"]
    since_secs: float | None
    error: str | None


class NodeView(msgspec.Struct, frozen=True):
    """`public_key` in hex; `uptime_secs` whole, as upstream has it; `documents` counts them, and
    `digest` (hex) is the same on two nodes that have the same ones. `secrets`: fingerprints of the formation secrets
    that are accepted, the one that is used first. `relays`: those that it uses."""

    node_id: str
    device_id: str
    public_key: str
    formation: str
    uptime_secs: int
    version: str
    addresses: Mapping[str, str | None]
    documents: int
    digest: str
    secrets: Sequence[str] = ()
    relays: Sequence[RelayView] = ()


class PeerView(msgspec.Struct, frozen=True, kw_only=True):
    """A peer. What is not known, or never happened, is null. `via` says how its link goes: `direct`, or the URL of the
    relay."""

    id: str
    device_id: str | None
    connected: bool
    state: PeerState
    rtt_ms: float | None
    source: str | None
    addresses: Sequence[str]
    relay_url: str | None
    metadata: Mapping[str, str]
    last_seen_secs: float | None
    last_sync_secs: float | None
    owed_documents: int
    error: str | None
    secrets: Sequence[str] | None = None
    revoked: bool = False
    via: str | None = None


class PeersView(msgspec.Struct, frozen=True):
    peers: Sequence[PeerView]
    count: int


class ListingView(msgspec.Struct, frozen=True):
    """`held` is there, and false, where the node has only the document's name."""

    name: str
    collection: str
    id: str
    incarnation: int
    size_bytes: int
    held: bool | UnsetType = UNSET


class ListingsView(msgspec.Struct, frozen=True):
    """`next` is what to give as `?after=` for the rest; it is there when there is a rest."""

    documents: Sequence[ListingView]
    next: str | UnsetType = UNSET


class DocumentBody(msgspec.Struct, frozen=True):
    """`roots` is there when the document has roots beside `data`."""

    collection: str
    id: str
    incarnation: int
    document: msgspec.Raw
    roots: msgspec.Raw | UnsetType = UNSET


class SetAsideView(msgspec.Struct, frozen=True):
    """An update in the quarantine: see `library.SetAside`. `time` as in RFC 3339."""

    collection: str
    id: str
    incarnation: int
    origin: str
    reason: str
    time: str
    sha256: str
    size_bytes: int
    times: int


class QuarantineView(msgspec.Struct, frozen=True):
    updates: Sequence[SetAsideView]
    count: int


class WrittenView(msgspec.Struct, frozen=True):
    """`ack` is the rung that the change has reached, at least the one that was asked for."""

    collection: str
    id: str
    incarnation: int
    ack: str


class DocumentEventView(msgspec.Struct, frozen=True):
    """`etag` as the document's route gives it, of the version that the incarnation is at now; null when it is over.
    `origin` is the device id of the peer that brought the change here, which need not be the one that made it; null: it
    was made here."""

    type: Literal["created", "changed", "deleted"]
    collection: str
    id: str
    incarnation: int
    etag: str | None
    origin: str | None


class PeerEventView(msgspec.Struct, frozen=True):
    """`peer` as it was then; of one that is lost, as it was before."""

    type: Literal["found", "lost", "linked", "unlinked", "updated"]
    peer: PeerView


class ResetView(msgspec.Struct, frozen=True):
    reason: Literal["unknown", "restarted", "behind"]


class ErrorView(msgspec.Struct, frozen=True):
    code: str
    message: str
    hint: str | None


class ErrorBody(msgspec.Struct, frozen=True):
    """Beside the error stand the two facts that a program goes on with: `state_vector` (409: what we have, base64url:
    make the update for this one) and `reached` (504: the rung that the change is on)."""

    error: ErrorView
    state_vector: str | UnsetType = UNSET
    reached: str | UnsetType = UNSET


class Mesh(Protocol):
    """What the API needs of a node. None of it blocks."""

    @property
    def node_id(self) -> str: ...

    @property
    def device_id(self) -> str: ...

    @property
    def public_key(self) -> str:
        """In hex."""

    @property
    def formation(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def documents(self) -> Library: ...

    @property
    def custody(self) -> Custody: ...

    @property
    def secrets(self) -> Sequence[str]:
        """Fingerprints of the formation secrets that it accepts, the one that it uses first."""

    @property
    def events(self) -> EventLog:
        """What happens to documents and peers."""

    def uptime(self) -> float: ...

    def addresses(self) -> Mapping[str, str | None]:
        """Where it listens: `api`, `mesh`, `clients` and `relay`, as `IP:port`; None where off."""

    def relays(self) -> Sequence[RelayView]:
        """How it stands with the relays that it uses."""

    def health(self) -> str | None:
        """What is stuck, in a sentence; None when nothing is."""

    def readiness(self) -> Report: ...

    @property
    def is_leaving(self) -> bool:
        """Whether whoever asks should not count on asking here again."""

    def measures(self) -> Sequence[Measure | Durations]:
        """All that this node measures but the requests to the API."""

    def peers(self) -> Sequence[PeerView]: ...

    def peer(self, peer_id: str) -> PeerView | None:
        """The peer with this node id or device id."""

    def topology(self) -> TopologyView: ...
