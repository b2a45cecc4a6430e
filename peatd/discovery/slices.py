"""The slices of a namespace, and the peers that they come to. Sans-IO.

One pod may stand in several slices: in one per address family, in those of every Service that selects it, and more
than 100 endpoints span slices. It is one peer, known by its target's uid or name, and lost only when no slice holds it.
A Service's slice lists a pod with the port of that Service, which may be its HTTP API's: where a slice with a port
named for the mesh holds the pod, the others say nothing of where to dial it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from peatd.discovery.endpointslice import PortRank, Slice
from peatd.discovery.events import PeerInfo
from peatd.names import NodeId


def merge(slices: Iterable[Slice]) -> dict[NodeId, PeerInfo]:
    """The peers of several slices, each once, by node id.

    Addresses come in the order of the slices. Where slices that say where to dial a peer disagree about its relay URL
    or a key of its metadata, the earlier slice is right.
    """
    slices = list(slices)
    names = _names_by_uid(slices)
    held: dict[NodeId, list[tuple[PortRank, PeerInfo]]] = {}
    for one in slices:
        for endpoint in one.endpoints:
            node_id = names.get(endpoint.uid, endpoint.peer.node_id) if endpoint.uid else endpoint.peer.node_id
            held.setdefault(node_id, []).append((one.rank, endpoint.peer))
    return {node_id: _peer(node_id, held[node_id]) for node_id in sorted(held)}


def _names_by_uid(slices: Iterable[Slice]) -> dict[str, NodeId]:
    """What to call a target that some slice lists without its name: the name is what peers are told apart by."""
    names: dict[str, tuple[bool, NodeId]] = {}
    for one in slices:
        for endpoint in one.endpoints:
            if endpoint.uid is not None:
                candidate = (not endpoint.named, endpoint.peer.node_id)
                names[endpoint.uid] = min(candidate, names.get(endpoint.uid, candidate))
    return {uid: node_id for uid, (_, node_id) in names.items()}


def _peer(node_id: NodeId, held: list[tuple[PortRank, PeerInfo]]) -> PeerInfo:
    best = min(rank for rank, _ in held)
    return merge_peers(node_id, [peer for rank, peer in held if rank == best])


def merge_peers(node_id: NodeId, peers: Sequence[PeerInfo]) -> PeerInfo:
    """One peer out of what several sources say of it: all addresses, in order; the earlier is right about the rest."""
    merged, *others = peers
    if not others and merged.node_id == node_id:
        return merged  # the rule, and with thousands of peers the difference that can be felt
    merged = replace(merged, node_id=node_id)
    for other in others:
        merged = PeerInfo(
            node_id,
            tuple(dict.fromkeys(merged.addresses + other.addresses)),
            merged.relay_url if merged.relay_url is not None else other.relay_url,
            {**other.metadata, **merged.metadata},
        )
    return merged


class SliceTable:
    """What every slice of the namespace last said, by its name."""

    def __init__(self) -> None:
        self._slices: dict[str, Slice] = {}

    def replace(self, slices: Mapping[str, Slice], *, unread: Iterable[str] = ()) -> None:
        """Takes a complete list; a slice in `unread` was in it, could not be read, and stays as it was."""
        kept = {name: self._slices[name] for name in unread if name in self._slices}
        self._slices = {**kept, **slices}

    def put(self, name: str, content: Slice) -> None:
        self._slices[name] = content

    def remove(self, name: str) -> None:
        self._slices.pop(name, None)

    def peers(self) -> dict[NodeId, PeerInfo]:
        return merge(self._slices[name] for name in sorted(self._slices))
