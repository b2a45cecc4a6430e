"""The slices of a namespace, and the peers that they come to. Sans-IO.

One pod may stand in several slices: in one per address family, in those of every Service that selects it, and more
than 100 endpoints span slices. It is one peer, known by its target's uid or name, and lost only when no slice holds it.
A Service's slice lists a pod with the port of that Service, which may be its HTTP API's: where a slice with a port
named for the mesh holds the pod, the others say nothing of where to dial it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from peatd.discovery.endpointslice import Endpoint, Slice
from peatd.discovery.events import PeerInfo
from peatd.names import NodeId


def merge(slices: Iterable[Slice]) -> dict[NodeId, PeerInfo]:
    """The peers of several slices, each once, by node id.

    Addresses come in the order of the slices. Where slices that say where to dial a peer disagree about its relay URL
    or a key of its metadata, the earlier slice is right.
    """
    slices = list(slices)
    names = _names_by_uid(slices)
    held: dict[NodeId, list[tuple[Slice, Endpoint]]] = {}
    for one in slices:
        for endpoint in one.endpoints:
            node_id = names.get(endpoint.uid, endpoint.node_id) if endpoint.uid else endpoint.node_id
            held.setdefault(node_id, []).append((one, endpoint))
    return {node_id: _peer(node_id, held[node_id]) for node_id in sorted(held)}


def _names_by_uid(slices: Iterable[Slice]) -> dict[str, NodeId]:
    """What to call a target that some slice lists without its name: the name is what peers are told apart by."""
    names: dict[str, tuple[bool, NodeId]] = {}
    for one in slices:
        for endpoint in one.endpoints:
            if endpoint.uid is not None:
                candidate = (not endpoint.named, endpoint.node_id)
                names[endpoint.uid] = min(candidate, names.get(endpoint.uid, candidate))
    return {uid: node_id for uid, (_, node_id) in names.items()}


def _peer(node_id: NodeId, held: list[tuple[Slice, Endpoint]]) -> PeerInfo:
    best = min(one.rank for one, _ in held)
    peers = [one.peer(endpoint) for one, endpoint in held if one.rank == best]
    return merge_peers(node_id, peers)


def merge_peers(node_id: NodeId, peers: Iterable[PeerInfo]) -> PeerInfo:
    """One peer out of what several sources say of it: all addresses, in order; the earlier is right about the rest."""
    first, *others = (replace(peer, node_id=node_id) for peer in peers)
    for other in others:
        first = PeerInfo(
            node_id,
            tuple(dict.fromkeys(first.addresses + other.addresses)),
            first.relay_url if first.relay_url is not None else other.relay_url,
            {**other.metadata, **first.metadata},
        )
    return first


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
