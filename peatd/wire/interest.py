"""The messages about where documents are: see interest.py and releases.py. Sans-IO."""

from typing import Annotated

import msgspec

from peatd.wire.members import Digest, Shape

_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
_Name = Annotated[str, msgspec.Meta(max_length=511)]

MAX_COLLECTIONS = 256
"""That are not everywhere, as HELLO names them."""

MAX_TOLD = 1000
"""Copies of which one message tells."""

Collection = Annotated[str, msgspec.Meta(max_length=255)]
Collections = Annotated[list[Collection], msgspec.Meta(max_length=MAX_COLLECTIONS)]


class Copy(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Of one document. `digest`: of what the sender holds; empty where it has the name alone."""

    name: _Name
    incarnation: _Count
    digest: Annotated[bytes, msgspec.Meta(max_length=16)]


class CopiesTold(Shape, frozen=True, tag=60):
    """What the sender holds of these documents; it holds all of a collection that its HELLO does not name, until told
    otherwise, and nothing of those that it names."""

    copies: Annotated[list[Copy], msgspec.Meta(max_length=MAX_TOLD)]


class Release(Shape, frozen=True, tag=61):
    """The sender would let go of its copy, and asks whether the receiver has all of it on its disk and keeps it.

    Attributes:
        number: of the sender's round; comes back in `Released`.
    """

    name: _Name
    incarnation: _Count
    digest: Digest
    number: _Count


class Released(Shape, frozen=True, tag=62):
    """The answer to `Release`."""

    name: _Name
    incarnation: _Count
    number: _Count
    granted: bool


class CompareShared(Shape, frozen=True, tag=63):
    """As `Compare`, of the documents of which the sender takes both to hold the content, in collections that are not
    everywhere."""

    prefix: Annotated[str, msgspec.Meta(max_length=64)]
    children: Annotated[list[Digest], msgspec.Meta(min_length=16, max_length=16)]


class OfferShared(Shape, frozen=True, tag=64):
    """As `Offer`, likewise."""

    prefix: Annotated[str, msgspec.Meta(max_length=64)]
    copies: Annotated[list[Copy], msgspec.Meta(max_length=4096)]


InterestMessage = CopiesTold | Release | Released | CompareShared | OfferShared
