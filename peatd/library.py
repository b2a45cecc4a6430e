"""What one can do with this node's documents: the seam between those who serve them and replication. Sans-IO.

A *rung* is how far a change has come: applied (in this node's memory) → durable (fsynced here) → replicated to k peers
(durable there as well). Each rung includes those below it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from peatd.names import DocumentKey, DocumentName


@dataclass(frozen=True, slots=True, order=True)
class Ack:
    """The rung that a writer waits for. Ordered by height; reads and prints as in a URL.

    Attributes:
        durable: fsynced here.
        peers: the number of peers on which it is durable as well.
    """

    durable: bool
    peers: int = 0

    def __str__(self) -> str:
        if self.peers:
            return f"replicated:{self.peers}"
        return "durable" if self.durable else "applied"


APPLIED = Ack(durable=False)
DURABLE = Ack(durable=True)


def replicated(peers: int) -> Ack:
    """Durable here and on this many peers."""
    return Ack(durable=True, peers=peers)


@dataclass(frozen=True, slots=True)
class IfMatch:
    """The versions that a writer is ready to change (RFC 9110 §13.1.1 and §13.1.2).

    Attributes:
        any_version: `If-Match: *`, any version that exists.
        etags: the strong ones that were named, without their quotes. A weak one never matches.
        no_version: `If-None-Match: *`, only where there is no document yet.
    """

    any_version: bool = False
    etags: frozenset[str] = frozenset()
    no_version: bool = False

    def holds(self, etag: str | None) -> bool:
        """Whether the document, whose version is `etag` (None: there is no such document), may be changed."""
        if etag is None:
            return self.no_version
        return self.any_version or etag in self.etags


@dataclass(frozen=True, slots=True)
class Written:
    """A change that was applied.

    Attributes:
        created: it began a new life of the document.
        etag: the version that it led to, without quotes; empty after a deletion.
        mark: by which the library finds this change again, for `acknowledged`; nobody else's business.
    """

    created: bool
    incarnation: int
    etag: str
    mark: object


@dataclass(frozen=True, slots=True)
class DocumentListing:
    """A document in a list. `is_held`: its content is here, and not only its name."""

    name: DocumentName
    incarnation: int
    size_bytes: int
    is_held: bool = True


@dataclass(frozen=True, slots=True)
class DocumentView:
    """A document as JSON.

    Attributes:
        etag: of this version, without quotes: visible ASCII, no `"`.
        document_json: the root map `data`.
        roots_json: the other roots by name: text and XML as strings, arrays as lists, maps as objects.
    """

    incarnation: int
    etag: str
    document_json: bytes
    roots_json: bytes

    @property
    def document(self) -> Mapping[str, Any]:
        """Read anew with each call, as of a large document it takes fifty times the text."""
        return msgspec.json.decode(self.document_json, type=dict[str, Any])

    @property
    def roots(self) -> Mapping[str, Any]:
        return msgspec.json.decode(self.roots_json, type=dict[str, Any])


API = "api"
"""Who wrote, for the quarantine, where nothing more is known of a writer than that it was one of this node's own."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """An update that killed, hung or panicked the engine, or a row that was found damaged.

    Attributes:
        origin: who brought it: `peer DEVICE-ID`, `client ADDRESS (SUBJECT)`, `api METHOD ADDRESS (SUBJECT)`; `log` and
            `store` where it was found later, in what is stored.
        time: when it came last, in seconds since 1970.
        times: how often.
    """

    name: DocumentName
    incarnation: int
    origin: str
    reason: str
    time: float
    sha256: str
    size_bytes: int
    times: int


class Library(Protocol):
    """All documents of this node. Every write is applied when the call returns, and `acknowledged` waits for more.

    A condition that does not hold raises PreconditionFailed and changes nothing. All may raise Unavailable, and
    StoreError where the document cannot be read. `origin` names the writer to the quarantine.
    """

    def count(self) -> int:
        """How many documents there are (deleted ones are not)."""

    def digest(self) -> str:
        """In hex: the same on all nodes whose documents are the same."""

    def list(self, collection: str | None, *, after: DocumentName | None, limit: int) -> Sequence[DocumentListing]:
        """At most `limit` documents, of one collection or of all, in the order of their names, behind `after`."""

    def etag(self, key: DocumentKey) -> str | None:
        """Of the version that this incarnation is at; None if it is over."""

    def size_bytes(self, name: DocumentName) -> int:
        """What the document takes on the disk; 0 where there is none."""

    async def read(self, name: DocumentName) -> DocumentView:
        """Raises: NoSuchDocument."""

    async def put(
        self, name: DocumentName, value: dict[str, Any], *, if_match: IfMatch | None, origin: str = API
    ) -> Written:
        """Makes the root map `data` equal to `value`; other roots stay. Creates what is not there.

        Raises: PreconditionFailed, InvalidEdit, TooLarge.
        """

    async def patch(
        self, name: DocumentName, patch: dict[str, Any], *, if_match: IfMatch | None, origin: str = API
    ) -> Written:
        """Applies a JSON Merge Patch (RFC 7396) to the root map `data`; to `{}` where there is no document.

        Raises: PreconditionFailed, InvalidEdit, TooLarge.
        """

    async def delete(self, name: DocumentName, *, if_match: IfMatch | None) -> Written:
        """Raises: NoSuchDocument (whatever the condition), PreconditionFailed."""

    async def diff(self, name: DocumentName, state_vector: bytes) -> bytes:
        """An update that holds what a copy with this state vector lacks.

        Raises: NoSuchDocument, MalformedUpdate (the state vector).
        """

    async def apply(self, name: DocumentName, update: bytes, *, origin: str = API) -> Written:
        """Merges a Yjs v1 update. Creates what is not there.

        Raises: MalformedUpdate, MissingUpdates, TooLarge, Quarantined; nothing is changed then.
        """

    async def quarantine(self) -> Sequence[SetAside]:
        """What was set aside, the latest first; the oldest are forgotten when they grow too many."""

    async def acknowledged(self, written: Written, ack: Ack, timeout: float) -> Ack:
        """Waits until the change has reached `ack`, and says which rung it is on.

        Raises: AckTimeout (the change stays).
        """
