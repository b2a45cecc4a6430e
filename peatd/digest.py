"""Which documents differ between two nodes, found in a few small messages. Sans-IO.

Every document has a leaf: a hash of its name, incarnation, whether it is deleted, and its content's digest. The
leaves hang in a tree of 16 branches a level, sorted by the hash of the name; a branch's digest is the exclusive-or of
the leaves below, so that one change costs three small updates and no rebuilding (members are authenticated: nobody
has to be kept from constructing collisions).

The conversation: one end sends a `Compare` of the root. Whoever gets a `Compare` answers each branch that differs: a
large one with a `Compare` one level down, a small one with an `Offer` of all that it has there. For 10,000 documents
of which 1 % differ, three levels and about 50 kB.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from hashlib import blake2b

from peatd.names import DocumentName
from peatd.wire.messages import Compare, Equal, Message, Offer, Offered

_DIGEST_BYTES = 16
_KEPT_LEVELS = 3
"""Branches kept up to date: 4,096 buckets. Deeper ones, which only matter beyond 100,000 documents, are computed
when asked for."""
_OFFER_DOCUMENTS = 32
"""A branch with no more documents is offered outright: about as many bytes as the 256 of a `Compare` would cost for
each level that it saves."""

_HEX = "0123456789abcdef"
_ROOT = ""


class DigestTree:
    """The digests of all documents that this node has, tombstones included."""

    def __init__(self) -> None:
        self._leaves: dict[DocumentName, int] = {}
        self._buckets: defaultdict[str, set[DocumentName]] = defaultdict(set)
        self._sums: defaultdict[str, int] = defaultdict(int)

    def __len__(self) -> int:
        return len(self._leaves)

    def __contains__(self, name: object) -> bool:
        return name in self._leaves

    def put(self, document: Offered) -> None:
        """States a document anew."""
        name = DocumentName(document.name)
        leaf, path = _leaf(document), _path(name)
        if name not in self._leaves:
            self._buckets[path[:_KEPT_LEVELS]].add(name)
        self._change(path, leaf ^ self._leaves.get(name, 0))
        self._leaves[name] = leaf

    def remove(self, name: DocumentName) -> None:
        """Forgets a document; nothing happens to one that it does not have."""
        leaf = self._leaves.pop(name, None)
        if leaf is not None:
            path = _path(name)
            self._buckets[path[:_KEPT_LEVELS]].discard(name)
            self._change(path, leaf)

    def _change(self, path: str, change: int) -> None:
        for level in range(_KEPT_LEVELS + 1):
            self._sums[path[:level]] ^= change

    def root(self) -> str:
        """The digest of all, in hex: the same on two nodes that have the same documents, deleted ones included."""
        return self._sum(_ROOT).to_bytes(_DIGEST_BYTES, "big").hex()

    def compare(self, prefix: str = _ROOT) -> Compare:
        """The digests of the 16 branches below `prefix`."""
        return Compare(prefix, [self._sum(prefix + digit).to_bytes(_DIGEST_BYTES, "big") for digit in _HEX])

    def answer(self, compare: Compare, offered: Callable[[DocumentName], Offered]) -> Iterator[Message]:
        """What to say to a peer's `Compare`. `offered` states one of our documents."""
        ours = self.compare(compare.prefix)
        differing = [
            compare.prefix + d for d, a, b in zip(_HEX, ours.children, compare.children, strict=True) if a != b
        ]
        if not differing and compare.prefix == _ROOT:
            yield Equal()
        for prefix in differing:
            names = self._below(prefix)
            if len(names) <= _OFFER_DOCUMENTS:
                yield Offer(prefix, [offered(name) for name in sorted(names)])
            else:
                yield self.compare(prefix)

    def below(self, prefix: str) -> set[DocumentName]:
        """The names of all our documents in a branch."""
        return set(self._below(prefix))

    def _below(self, prefix: str) -> list[DocumentName]:
        if len(prefix) >= _KEPT_LEVELS:
            bucket = self._buckets.get(prefix[:_KEPT_LEVELS], ())
            return [name for name in bucket if len(prefix) == _KEPT_LEVELS or _path(name).startswith(prefix)]
        return [name for bucket, names in self._buckets.items() if bucket.startswith(prefix) for name in names]

    def _sum(self, prefix: str) -> int:
        if len(prefix) <= _KEPT_LEVELS:
            return self._sums.get(prefix, 0)
        total = 0
        for name in self._below(prefix):
            total ^= self._leaves[name]
        return total


def _path(name: DocumentName) -> str:
    return blake2b(name.encode(), digest_size=_DIGEST_BYTES).hexdigest()


def _leaf(document: Offered) -> int:
    state = f"{document.name}\n{document.incarnation}\n{document.deleted:d}\n".encode()
    # A tombstone is one whatever its document once held.
    content = b"" if document.deleted else document.digest
    return int.from_bytes(blake2b(state + content, digest_size=_DIGEST_BYTES).digest(), "big")
