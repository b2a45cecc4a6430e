"""The names that everything else passes around: of nodes, documents and addresses.

Sans-IO. Whatever comes from outside becomes one of these types once, at the edge, or is refused there.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import NewType

from peatd.errors import InvalidName

NodeId = NewType("NodeId", str)
"""What operators call a node: the pod's name, or `--node-id`. Claimed, hence unique only by agreement."""

DeviceId = NewType("DeviceId", str)
"""What a node proves to be: lower-case hex of the first 16 bytes of SHA-256(Ed25519 public key)."""

Fingerprint = NewType("Fingerprint", str)
"""What a formation secret is called in public: 16 lower-case hex digits that follow from it, and that it does not
follow from (formation.py)."""

DocumentName = NewType("DocumentName", str)
"""`collection/id`."""

_NAME_PART = re.compile(r"[A-Za-z0-9._:-]{1,255}")


@dataclass(frozen=True, slots=True, order=True)
class DocumentKey:
    """One life of a document: deleting ends an incarnation, creating again begins the next."""

    name: DocumentName
    incarnation: int


def document_name(collection: str, document_id: str) -> DocumentName:
    """The name `collection/id`.

    Raises:
        InvalidName: if either part is not 1-255 characters of letters, digits, `.`, `_`, `-`, `:`.
    """
    for what, part in (("collection", collection), ("id", document_id)):
        if not _NAME_PART.fullmatch(part):
            raise InvalidName(f"{what} {part[:80]!r} is not a name: use 1 to 255 letters, digits, '.', '_', '-' or ':'")
    return DocumentName(f"{collection}/{document_id}")


def parse_document_name(text: str) -> DocumentName:
    """Parses `collection/id`.

    Raises:
        InvalidName: if it is anything else.
    """
    collection, slash, document_id = text.partition("/")
    if not slash:
        raise InvalidName(f"{text[:80]!r} is not a document's name: write COLLECTION/ID")
    return document_name(collection, document_id)


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """A host (an IP address without brackets, or a DNS name) and a TCP port. Reads and prints as `HOST:PORT`."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Parses `HOST:PORT`; an IPv6 host stands in brackets.

        Raises:
            InvalidName: if the host is empty or malformed, or the port is not 0-65535.
        """
        host, colon, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if bracketed:
            host = host[1:-1]
        if not colon or not _is_host(host, bracketed=bracketed):
            raise InvalidName(f"{text[:80]!r} is not an address: write HOST:PORT, or [IPV6]:PORT")
        if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
            raise InvalidName(f"{text[:80]!r} has no valid port: it is a number from 0 to 65535")
        return cls(host, int(port))


@dataclass(frozen=True, slots=True)
class StaticPeer:
    """A peer that the operator has listed.

    Attributes:
        name: the node id it goes by; without one it is called by its `HOST:PORT` until its first link.
        relay_url: where a relay for it listens.
    """

    name: str | None
    address: Address
    relay_url: str | None = None


_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_.])?")


def _is_host(host: str, *, bracketed: bool) -> bool:
    if not bracketed:
        return _HOST.fullmatch(host) is not None
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True
