"""The messages about who belongs to the formation, and what all messages are made of. Sans-IO; see messages.py."""

from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]

Digest = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]

Fingerprints = Annotated[list[Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{16}\Z")]], msgspec.Meta(max_length=64)]
"""What formation secrets are called in public."""

Device = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]

MAX_REVOKED = 256
"""Entries of one `Revoked`: their signatures take some 25 ms to check, in which nothing else is done."""

_LAST_MOMENT = 253_402_300_800
"""The end of the year 9999, in seconds since 1970: what can be shown."""


class Shape(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of all messages; array_like makes them compact."""


class Accepts(Shape, frozen=True, tag=19):
    """Which formation secrets the sender accepts from now on, the one that it uses first."""

    secrets: Fingerprints


class RevokedKey(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One entry of the list of revoked keys (revocations.py): `signature` is by the key of the secret `by`."""

    device_id: Device
    at: Annotated[int, msgspec.Meta(ge=0, lt=_LAST_MOMENT)]
    issuer: Device
    by: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{16}\Z")]
    signature: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


class Revoked(Shape, frozen=True, tag=20):
    """Keys that are not to be let in any more."""

    keys: Annotated[list[RevokedKey], msgspec.Meta(max_length=MAX_REVOKED)]


class RevokedDigest(Shape, frozen=True, tag=21):
    """Of the sender's whole list. Whoever has another one sends all of its own."""

    digest: Digest
