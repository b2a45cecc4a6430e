"""From two lists of peers to what happened between them. Sans-IO.

Whoever keeps a list by node id and does what the moves say has the later list.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from peatd.events import Move
from peatd.names import DeviceId, NodeId
from peatd.peers import Peer, PeerState, PeerTable

_Key = tuple[NodeId, DeviceId | None]


class Told:
    """What has been told of a table's peers."""

    def __init__(self, table: PeerTable) -> None:
        self._table = table
        self._known: dict[_Key, Peer] = {}

    def moves(self, node_id: NodeId | None, now: float) -> list[tuple[Move, Peer]]:
        """What happened since the last call, `PeerTable.tell` having been given this name."""
        peers = None if node_id is None else self._table.of_sighting(node_id)
        if node_id is None or peers is None:
            before, self._known = self._known, _by_key(self._table.all(now))
            return list(moves_between(before.values(), self._known.values()))
        # Of a thousand peers that come, or cannot be reached, each would else be compared a thousand times.
        was = self._known.pop((node_id, None), None)
        self._known |= _by_key(peers)
        return list(moves_between([was] if was else [], peers))


def moves_between(before: Iterable[Peer], after: Iterable[Peer]) -> Iterator[tuple[Move, Peer]]:
    """The moves, in the order of `after`, those who left first. Of a peer that left it is told how it was."""
    old, new = _by_key(before), _by_key(after)
    learned = {(node_id, None) for node_id, device_id in new if device_id is not None}
    for key, peer in old.items():
        # Who has shown its key since is still the same peer. Of who was lost it was told when it was.
        if key not in new and key not in learned and peer.state is not PeerState.LOST:
            yield Move.LOST, peer
    for key, peer in new.items():
        was = old.get(key) or old.get((peer.node_id, None))
        for move in _moves(was, peer):
            yield move, peer


def _moves(was: Peer | None, now: Peer) -> Iterator[Move]:
    is_there, was_there = now.state is not PeerState.LOST, was is not None and was.state is not PeerState.LOST
    is_linked, was_linked = now.state is PeerState.LINKED, was is not None and was.state is PeerState.LINKED
    if is_there and not was_there:
        yield Move.FOUND
    if is_linked and not was_linked:
        yield Move.LINKED
    if was_linked and not is_linked:
        yield Move.UNLINKED
    if was_there and not is_there:
        yield Move.LOST
    if was is None or was == now or (is_there, is_linked) != (was_there, was_linked):
        return
    if _shown(was) != _shown(now):
        yield Move.UPDATED


def _by_key(peers: Iterable[Peer]) -> dict[_Key, Peer]:
    return {(peer.node_id, peer.device_id): peer for peer in peers}


def _shown(peer: Peer) -> Peer:
    """Without what only counts time, and whether it is being dialled just now: each try would be news otherwise."""
    state = PeerState.BACKING_OFF if peer.state is PeerState.DIALING else peer.state
    return replace(peer, parting=None, state=state)
