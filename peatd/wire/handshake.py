"""The proof: both ends of a fresh channel show that they know the formation secret, bound to both keys. Sans-IO.

    I→R  na                       32 random bytes
    R→I  nb ‖ HMAC(k, "R" ‖ T)    32 + 32
    I→R  HMAC(k, "I" ‖ T)         32
    R→I  01                       accepted

HMAC is HMAC-SHA256. T is formation id, id_I, id_R, na and nb, each behind its length in 4 bytes big-endian. The ids are
the device ids that the channel itself vouches for (the TLS leaves' keys), never ones that a peer claims.

Rules:
1. T names both ends, so a proof made for one pair is worth nothing to another: a stranger cannot relay it.
2. "R" and "I" keep the directions apart: nothing can be reflected to its maker.
3. Both nonces are fresh, so nothing can be replayed.
4. The receiver answers before it knows the initiator's proof; it may, for TLS has shown that the initiator's key is
   vouched for by the formation's CA. Several secrets may be accepted at once: k is that of the secret whose CA signed
   the initiator's leaf.

Both ends are used alike: send what `opening` or `receive` gives, read exactly `wants` bytes, until `wants` is 0.
"""

import hmac
from dataclasses import dataclass

from peatd.errors import HandshakeError
from peatd.names import DeviceId

NONCE_BYTES = 32
PROOF_BYTES = 32
ACCEPTED = b"\x01"

_CHALLENGE_BYTES = NONCE_BYTES + PROOF_BYTES


@dataclass(frozen=True, slots=True)
class Parties:
    """Who proves to whom, as the channel says."""

    formation: str
    initiator: DeviceId
    receiver: DeviceId


def transcript(parties: Parties, na: bytes, nb: bytes) -> bytes:
    """T: what both proofs are about."""
    fields = (parties.formation.encode(), parties.initiator.encode(), parties.receiver.encode(), na, nb)
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


class Initiator:
    """The end that opened the channel.

    Attributes:
        wants: how many bytes `receive` takes next; 0 once the receiver has accepted us.
    """

    def __init__(self, parties: Parties, key: bytes, nonce: bytes) -> None:
        self._parties = parties
        self._key = key
        self._nonce = _checked_nonce(nonce)
        self.wants = _CHALLENGE_BYTES

    @property
    def opening(self) -> bytes:
        """What to send first."""
        return self._nonce

    def receive(self, received: bytes) -> bytes:
        """Takes the receiver's next `wants` bytes; returns what to send.

        Raises:
            HandshakeError: if they prove nothing.
        """
        _check_length(received, self.wants)
        if self.wants == _CHALLENGE_BYTES:
            return self._answer(received)
        if received != ACCEPTED:
            raise HandshakeError("the peer did not accept our proof of membership", code="proof")
        self.wants = 0
        return b""

    def _answer(self, challenge: bytes) -> bytes:
        nb, proof = challenge[:NONCE_BYTES], challenge[NONCE_BYTES:]
        proven = transcript(self._parties, self._nonce, nb)
        _check_proof(proof, _prove(self._key, b"R", proven))
        self.wants = len(ACCEPTED)
        return _prove(self._key, b"I", proven)


class Receiver:
    """The end that the channel was opened to.

    Attributes:
        wants: how many bytes `receive` takes next; 0 once the initiator has proved itself.
    """

    def __init__(self, parties: Parties, key: bytes, nonce: bytes) -> None:
        self._parties = parties
        self._key = key
        self._nonce = _checked_nonce(nonce)
        self._proven: bytes | None = None
        self.wants = NONCE_BYTES

    def receive(self, received: bytes) -> bytes:
        """Takes the initiator's next `wants` bytes; returns what to send.

        Raises:
            HandshakeError: if they prove nothing.
        """
        _check_length(received, self.wants)
        if self._proven is None:
            self._proven = transcript(self._parties, received, self._nonce)
            self.wants = PROOF_BYTES
            return self._nonce + _prove(self._key, b"R", self._proven)
        _check_proof(received, _prove(self._key, b"I", self._proven))
        self.wants = 0
        return ACCEPTED


def _prove(key: bytes, role: bytes, proven: bytes) -> bytes:
    return hmac.digest(key, role + proven, "sha256")


def _check_proof(proof: bytes, expected: bytes) -> None:
    if not hmac.compare_digest(proof, expected):
        raise HandshakeError(
            "the peer did not prove that it knows the formation secret: are secret and --formation the same on both?",
            code="proof",
        )


def _checked_nonce(nonce: bytes) -> bytes:
    if len(nonce) != NONCE_BYTES:
        raise ValueError(f"a nonce has {NONCE_BYTES} bytes, not {len(nonce)}")
    return nonce


def _check_length(received: bytes, wants: int) -> None:
    if len(received) != wants or not wants:
        raise HandshakeError(f"{len(received)} bytes where the proof has {wants}", code="proof")
