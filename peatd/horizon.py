"""What this node has come to know of all others: so what it lacks is told from what it has forgotten. Sans-IO.

A tombstone is not kept for ever. When it is gone, a node that was away and still has the document would bring it back,
were there nothing else that tells of it. There is: every node knows how far it has come to know each other's documents.
A node numbers the beginnings of its documents (`Entry.born`: the number of the record in its store). Whenever two nodes
have the same living documents, each knows all that the other has had *up to* that number, and all that the other knew
of third ones. So, of a peer that lacks a document of ours:

* the peer has known it (`born` is not beyond what it knows of us), then the document was deleted, and ends here too;
* else it is new to the peer, which is owed it. Nothing is lost that was made while a node was away, for however long.

Who got a document from a node that had not heard of its end counts for the others as one that has made it: they have
known the document, but not from there.

(An observed-remove set without tombstones: Bieniusa et al., "An optimized conflict-free replicated set", 2012.)

Rules:
1. Numbers are stated when they are durable: a crash must not give them out twice.
2. A store that was put back to an earlier state (a backup) numbers anew what it does from then on. So each run of a
   node has a random *epoch*, and what is known of it from another past is worth as much as the two pasts share.
3. Too little knowledge is safe: a document then comes back, as if it were new. Too much would delete it. A store that
   found damage begins again with none.
4. The name of a forgotten document may be used again, by an incarnation that no forgotten one had (`floor`).
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NewType

import msgspec

from peatd.names import NodeId
from peatd.wire.horizon import MAX_KNOWN_NODES, Known

Mark = NewType("Mark", bytes)
"""By which a node is known. It follows from its node id: a key changes with the formation secret, and a node that was
away meanwhile would be known to nobody. What else goes by that node id has other epochs (rule 2)."""

MAX_FLOOR = 2**40
"""It goes up about once in each time that tombstones are kept."""

_MAX_EPOCHS = 256
"""Of our own: a node that was away while we were restarted more often is taken for one that knows nothing of us."""


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    epochs: list[tuple[int, bytes]]
    known: list[Known]
    floor: int


def mark_of(node_id: NodeId) -> Mark:
    return Mark(sha256(node_id.encode()).digest()[:16])


@dataclass(slots=True)
class Horizon:
    """Attributes:
    epochs: ours, each with the number of the first record that it could make; the last is the present one.
    floor: no forgotten incarnation of any document was higher.
    changes: counts what was learned.
    """

    epochs: list[tuple[int, bytes]]
    floor: int = 0
    changes: int = 0
    _known: OrderedDict[bytes, Known] = field(default_factory=OrderedDict)  # least lately learned first

    @classmethod
    def opened(cls, kept: bytes | None, *, is_whole: bool, last_seq: int, new_epoch: Callable[[], bytes]) -> "Horizon":
        """That of a node which starts.

        Args:
            kept: what `encode` gave in an earlier run.
            is_whole: nothing was found damaged in the store (rule 3).
            last_seq: of the store's records.
            new_epoch: makes 8 random bytes.
        """
        horizon = cls([])
        if kept is not None:
            decoded = _decoder.decode(kept)
            horizon.floor = decoded.floor
            if is_whole:
                horizon.epochs = decoded.epochs
                horizon._known.update((known.node, known) for known in decoded.known)
        horizon.epochs = [*horizon.epochs[1 - _MAX_EPOCHS :], (last_seq + 1, new_epoch())]
        return horizon

    @property
    def epoch(self) -> bytes:
        return self.epochs[-1][1]

    def known(self) -> list[Known]:
        return list(self._known.values())

    def of(self, own: Mark, theirs: Iterable[Known]) -> int:
        """Up to which number a peer that says so knows our documents."""
        for known in theirs:
            if known.node == own:
                return self._shared(known)
        return 0

    def _shared(self, known: Known) -> int:
        ends = [first - 1 for first, _ in self.epochs[1:]] + [known.seq]
        for (_, epoch), end in zip(self.epochs, ends, strict=True):
            if epoch == known.epoch:
                return min(known.seq, end)  # rule 2
        return 0

    def learn(self, own: Mark, direct: Known, theirs: Iterable[Known]) -> None:
        """We have the same living documents as the peer `direct`, which knows `theirs` of others."""
        self._take(direct)
        for known in theirs:
            before = self._known.get(known.node)
            if known.node not in (own, direct.node) and (before is None or known.seq > before.seq):
                self._take(known)
        while len(self._known) > MAX_KNOWN_NODES:
            self._known.popitem(last=False)

    def _take(self, known: Known) -> None:
        if self._known.get(known.node) != known:
            self.changes += 1
        self._known[known.node] = known
        self._known.move_to_end(known.node)

    def raise_floor(self, incarnation: int) -> None:
        """What is beyond all reason is a peer's mistake, and would leave no incarnation for later."""
        if self.floor < incarnation <= MAX_FLOOR:
            self.floor = incarnation
            self.changes += 1

    def encode(self) -> bytes:
        """Private to peatd."""
        return _encoder.encode(_Kept(self.epochs, self.known(), self.floor))


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Kept)
