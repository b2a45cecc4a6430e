"""Membership over one link: which formation secrets each end accepts, and which keys are revoked.

Revocations spread as they are made, and by comparison whenever two nodes meet: each end begins with the digest of its
list, and whoever hears of another one than its own sends all that it has. A list only grows, so that ends.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from peatd.errors import RevocationsFull
from peatd.membership import Membership
from peatd.names import DeviceId, Fingerprint
from peatd.peers import PeerTable
from peatd.revocations import Revocation
from peatd.transport.link import LinkPeer
from peatd.wire.members import MAX_REVOKED, Accepts, Revoked, RevokedDigest, RevokedKey
from peatd.wire.messages import Message

log = structlog.get_logger()


class PeerMembership:
    """One peer's side of membership. A peer whose release does not know of it is told nothing."""

    def __init__(self, membership: Membership, peers: PeerTable, peer: LinkPeer) -> None:
        self._membership = membership
        self._peers = peers
        self._peer = peer
        self._is_heard = bool(peer.accepts)
        self._told: tuple[Fingerprint, ...] = ()  # HELLO may have said it, and been overtaken since
        self._answered: bytes | None = None
        self._owes_digest = self._is_heard
        self._next = len(membership.revocations)
        self._wake: Callable[[], None] = lambda: None

    @contextmanager
    def told(self, wake: Callable[[], None]) -> Iterator[None]:
        """While it lasts, there is something to take whenever `wake` was called."""
        self._wake = wake
        with self._membership.watched(wake):
            yield

    def take(self) -> list[Message]:
        """What to send next."""
        if not self._is_heard:
            return []
        membership, taken = self._membership, list[Message]()
        if self._told != membership.fingerprints:
            self._told = membership.fingerprints
            taken.append(Accepts(list(membership.hello.secrets)))
        if self._owes_digest:
            self._owes_digest = False
            taken.append(RevokedDigest(membership.revocations.digest()))
        entries = membership.revocations.after(self._next, MAX_REVOKED)
        by = self._secret()
        if entries and by is not None:
            self._next += len(entries)
            taken.append(Revoked([_key(entry) for entry in membership.signed_for(entries, by)]))
        return taken

    def received(self, message: Message) -> None:
        """What the peer tells.

        Raises:
            RevocationForged: if it tells of a revocation that nobody has made.
        """
        match message:
            case Accepts():
                self._peers.accepts(self._peer.device_id, tuple(Fingerprint(name) for name in message.secrets))
            case RevokedDigest():
                self._compare(message.digest)
            case Revoked():
                self._hear(message)

    def _compare(self, theirs: bytes) -> None:
        ours = self._membership.revocations.digest()
        if ours not in (theirs, self._answered):  # the same list once, however often the peer asks
            self._answered, self._next = ours, 0
            self._wake()

    def _hear(self, message: Revoked) -> None:
        try:
            self._membership.heard_revoked([_revocation(key) for key in message.keys])
        except RevocationsFull as exc:
            log.warning("revocations dropped", device_id=self._peer.device_id, reason=str(exc))

    def _secret(self) -> Fingerprint | None:
        """The one to sign with for this peer: the link was proven by it, so both accept it, or the link is ending."""
        return next((name for name in self._peer.proven_by if name in self._membership.fingerprints), None)


def _key(entry: Revocation) -> RevokedKey:
    return RevokedKey(entry.device_id, entry.at, entry.issuer, entry.by, entry.signature)


def _revocation(key: RevokedKey) -> Revocation:
    by = Fingerprint(key.by)
    return Revocation(DeviceId(key.device_id), key.at, DeviceId(key.issuer), by, key.signature)
