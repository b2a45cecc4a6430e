"""HKDF with SHA-256 (RFC 5869), for keys of one hash's length: what every key of ours is derived with. Sans-IO.

Not `cryptography`'s: that library stays out of the node's process (`papers/`), and one block of HKDF is two HMACs.
"""

import hmac

KEY_BYTES = 32
"""One block of SHA-256, hence one round of the expansion."""

_HASH = "sha256"
_FIRST_ROUND = b"\x01"


def derive_key(secret: bytes, *, salt: bytes, info: bytes) -> bytes:
    """`KEY_BYTES` bytes from this input keying material; an empty salt is none (RFC 5869, 2.2)."""
    extracted = hmac.digest(salt, secret, _HASH)
    return hmac.digest(extracted, info + _FIRST_ROUND, _HASH)
