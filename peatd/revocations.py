"""Which node keys are revoked: a list that only grows, and that every node of the formation has. Sans-IO.

A revocation names a device id, which is the hash of a public key and so means exactly that key. It is signed (Ed25519)
with a key that follows from a formation secret, so that every member can check it and nobody else can make one:

    signed   `peatd revocation v1` ‖ formation name ‖ device id ‖ moment ‖ issuer, each behind its length in 4 bytes

    by       the fingerprint of that secret: one that both ends of a link accept

Rules:
1. What is on the list stays on it. So no node that was away, and no older copy, brings a revoked key back.
2. Who signs is a member, and no more is proven: any node can revoke any other. `issuer` says which one it was told at.
3. A secret that is removed takes its signatures with it; those who have the entries sign them with one that is left.
4. A list has at most `MAX_REVOCATIONS`. The answer to a member that fills it is a rotation, after which it is none.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from peatd.errors import RevocationForged, RevocationsFull
from peatd.formation import Formation
from peatd.identity import Keypair, has_signed
from peatd.names import DeviceId, Fingerprint

MAX_REVOCATIONS = 4096
"""Some 800 KB in memory. A formation that has revoked so many keys has long needed another secret."""

SIGNATURE_BYTES = 64
"""Of Ed25519 (RFC 8032)."""

_DOMAIN = b"peatd revocation v1"
_DIGEST_BYTES = 16
_UNSIGNED = Fingerprint("")


@dataclass(frozen=True, slots=True)
class Revocation:
    """That a key is not to be let in any more.

    Attributes:
        at: seconds since 1970, by the issuer's clock.
        issuer: the node that was told.
        by: the secret whose key has signed it.
    """

    device_id: DeviceId
    at: int
    issuer: DeviceId
    by: Fingerprint = _UNSIGNED
    signature: bytes = b""


def sign(revocation: Revocation, formation: Formation, by: Fingerprint) -> Revocation:
    """The same, signed for those who accept the secret `by`, which is one of the formation's."""
    signing = Keypair.from_secret(formation.revocation_secret(formation.fingerprints.index(by)))
    return replace(revocation, by=by, signature=signing.sign(_signed(revocation, formation.name)))


def verify(revocation: Revocation, formation: Formation) -> None:
    """
    Raises:
        RevocationForged: if none of the formation's secrets has signed it.
    """
    known = formation.fingerprints
    if revocation.by not in known:
        raise RevocationForged(f"the revocation of {revocation.device_id} is signed by a secret that is not accepted")
    key = Keypair.from_secret(formation.revocation_secret(known.index(revocation.by))).public_key
    message, signature = _signed(revocation, formation.name), revocation.signature
    if len(signature) != SIGNATURE_BYTES or not has_signed(key, message, signature):
        raise RevocationForged(f"the revocation of {revocation.device_id} is not signed by the formation")


class Revocations:
    """The list.

    Invariants:
        1. Nothing is ever taken off it, and the order in which it grew stays: who has read it up to a number has what
           comes behind to read.
        2. It has at most `MAX_REVOCATIONS` entries.
    """

    def __init__(self) -> None:
        self._entries: list[Revocation] = []
        self._places: dict[DeviceId, int] = {}
        self._digest: bytes | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Revocation]:
        return iter(self._entries)

    def __contains__(self, device_id: DeviceId | None) -> bool:
        return device_id in self._places

    def get(self, device_id: DeviceId) -> Revocation | None:
        place = self._places.get(device_id)
        return None if place is None else self._entries[place]

    def after(self, number: int, limit: int) -> list[Revocation]:
        """At most `limit` of them, behind the first `number`."""
        return self._entries[number : number + limit]

    def add(self, revocation: Revocation) -> bool:
        """Whether it was not on the list yet.

        Raises:
            RevocationsFull: if there is no place for it.
        """
        if revocation.device_id in self._places:
            return False
        if len(self._entries) >= MAX_REVOCATIONS:  # Invariant 2.
            raise RevocationsFull(f"{MAX_REVOCATIONS} keys are revoked already, and no more are remembered")
        self._places[revocation.device_id] = len(self._entries)
        self._entries.append(revocation)
        self._digest = None
        return True

    def sign_again(self, formation: Formation) -> bool:
        """Signs those whose secret is removed with the first that is left (rule 3); whether there were any."""
        known = formation.fingerprints
        stale = [place for place, entry in enumerate(self._entries) if entry.by not in known]
        for place in stale:
            self._entries[place] = sign(self._entries[place], formation, known[0])
        return bool(stale)

    def digest(self) -> bytes:
        """The same on two nodes that have revoked the same keys."""
        if self._digest is None:
            ids = "".join(sorted(self._places)).encode()
            self._digest = hashlib.sha256(ids).digest()[:_DIGEST_BYTES]
        return self._digest


def _signed(revocation: Revocation, formation: str) -> bytes:
    fields = (
        _DOMAIN,
        formation.encode(),
        revocation.device_id.encode(),
        str(revocation.at).encode(),
        revocation.issuer.encode(),
    )
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)
