"""Reads the certificates that `certificates.py` mints: as much of X.509 (RFC 5280, 4.1) in DER (X.690) as these have.

    Certificate   SEQUENCE { tbs, algorithm = Ed25519, signature: BIT STRING of 64 bytes }
    tbs           SEQUENCE { [0] version, serial, algorithm, issuer, validity, subject, key = Ed25519, … }

Strict: an element is of the expected kind, has the shortest form of its length and fills what holds it; anything else
is no certificate of ours. What the signature covers is for whoever reads this to check, before the key is believed.
"""

import hashlib
from dataclasses import dataclass

_SEQUENCE, _INTEGER, _BIT_STRING, _VERSION = 0x30, 0x02, 0x03, 0xA0
_BEFORE_KEY = (_VERSION, _INTEGER, _SEQUENCE, _SEQUENCE, _SEQUENCE, _SEQUENCE)

_ED25519 = bytes.fromhex("300506032b6570")
"""AlgorithmIdentifier of Ed25519 (RFC 8410, 3)."""
_KEY = bytes.fromhex("302a") + _ED25519 + bytes.fromhex("032100")
"""What a SubjectPublicKeyInfo of Ed25519 begins with: the 32 bytes of the key are all that follows."""
_KEY_BYTES = 32
_SIGNATURE_BYTES = 64

_FINGERPRINT_BYTES = 10


@dataclass(frozen=True, slots=True)
class SignedKey:
    """An Ed25519 key, and the signature over `signed` that vouches for it."""

    public_key: bytes
    signed: bytes
    signature: bytes


def read_leaf(certificate: bytes) -> SignedKey | None:
    """The key that this certificate (DER) is about; None if it is none as we mint them. Checks no signature."""
    try:
        (whole,) = _split(certificate, _SEQUENCE)
        signed, algorithm, signature = _split(_content(whole), _SEQUENCE, _SEQUENCE, _BIT_STRING)
        *_, key = _split(_content(signed), *_BEFORE_KEY, _SEQUENCE, has_more=True)
        return SignedKey(_public_key(key), signed, _signature(algorithm, signature))
    except _NotOurs:
        return None


def authority_tag(public_key: bytes) -> str:
    """What the CA with this key is called: a word of letters and digits that fits a DNS label."""
    return hashlib.sha256(public_key).digest()[:_FINGERPRINT_BYTES].hex()


class _NotOurs(Exception):
    """It is not a certificate as we mint them."""


def _public_key(info: bytes) -> bytes:
    if not info.startswith(_KEY) or len(info) != len(_KEY) + _KEY_BYTES:
        raise _NotOurs
    return info[len(_KEY) :]


def _signature(algorithm: bytes, bits: bytes) -> bytes:
    unused_bits, signature = bits[2:3], bits[3:]
    if algorithm != _ED25519 or unused_bits != b"\0" or len(signature) != _SIGNATURE_BYTES:
        raise _NotOurs
    return signature


def _split(data: bytes, *tags: int, has_more: bool = False) -> list[bytes]:
    """The elements, whole, that `data` consists of, or begins with: they have these tags."""
    elements = []
    for tag in tags:
        if data[:1] != bytes([tag]):
            raise _NotOurs
        start, size_bytes = _length(data)
        end = start + size_bytes
        if end > len(data):
            raise _NotOurs
        elements.append(data[:end])
        data = data[end:]
    if data and not has_more:
        raise _NotOurs
    return elements


def _content(element: bytes) -> bytes:
    start, _ = _length(element)
    return element[start:]


def _length(element: bytes) -> tuple[int, int]:
    """Where the content of the element begins, and how long it is: up to 64 KiB, in the shortest form (X.690, 10.1)."""
    first = int.from_bytes(element[1:2])
    if len(element) < 2 or first == 0x80 or first > 0x82:
        raise _NotOurs
    if first < 0x80:
        return 2, first
    start = 2 + (first & 0x7F)
    size_bytes = int.from_bytes(element[2:start])
    if len(element) < start or size_bytes < (0x80 if first == 0x81 else 0x100):
        raise _NotOurs
    return start, size_bytes
