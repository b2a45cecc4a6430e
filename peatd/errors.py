"""Every error that peatd raises on purpose, and whose fault it is.

PeatError
├── ConfigError               the operator's: a setting, key file or secret        (exit 2)
│   └── InvalidName           a name or address that does not parse                (HTTP 400)
├── Refusal                   the HTTP client's; lives in api/refusal.py            (400, 401, 403, 404, 415)
├── TokenRefused              a client's: its token does not let it in           (401)
├── MalformedMessage          a client's: not the protocol that it speaks         (closes with 4400)
├── DemoFailed                a node of `peatd --demo` does not run                 (exit 1)
├── SecretFixed               the operator's: where the secret is kept we cannot write (409)
├── RotationRefused           the operator's: this step of a rotation comes too early  (409)
├── RevocationsFull           no more keys can be revoked                            (409)
├── DocumentError             the writer's: this request cannot be done
│   ├── NoSuchDocument                                                             (404)
│   ├── DocumentEnded         it holds content of a document that was deleted      (410)
│   ├── PreconditionFailed    If-Match names another version                       (412)
│   ├── MalformedUpdate       not a well-formed Yjs update                         (422)
│   │   └── Gap               it leaves out what lies between parts of it           (409)
│   ├── MissingUpdates        builds on updates that we lack                       (409)
│   ├── Overtaken             its document was deleted before it was replicated        (409)
│   ├── InvalidEdit           JSON that a document cannot hold                     (422)
│   ├── TooLarge              beyond a stated limit                                (413)
│   └── Quarantined           it killed, hung or panicked the engine               (422)
├── Unavailable               ours, for now: draining, disk full, engine restarting (503)
│   ├── AckTimeout            the change is made, the asked rung was not reached   (504)
│   └── Barred                the engine failed at it, and would again             (503)
├── StoreError                the disk's or the directory's                        (503, exit 2)
│   ├── StoreUnavailable      its disk is full, failing or read-only: a later start may do   (exit 1)
│   ├── StoreDamaged          pages of its file are bad; the next start saves the rest   (exit 1)
│   ├── StoreLocked           another daemon has the directory                     (exit 2)
│   └── StoreSchemaError      written by a newer peatd                             (exit 2)
├── PeerError                 the other node's
│   ├── WireError             bytes that are not our protocol
│   ├── CardForged            a member's card that it has not signed
│   ├── RevocationForged      no formation secret that is accepted here has signed it
│   ├── Unreachable           no connection: refused, no answer, no such name
│   ├── RelayError            a relay does not answer, refuses, or is none
│   └── HandshakeError        it is not of our formation, or did not prove it in time
│       ├── CertificateRefused   it accepts another of our formation's secrets
│       └── Declined          we need no link with it: there is one, or both have enough
└── DiscoveryError            a source of peers cannot work
    ├── EventStreamConsumed   its events were taken already
    ├── MalformedSlice        not of the shape of an EndpointSlice
    └── MalformedNotice       no message of multicast DNS
"""


class PeatError(Exception):
    """The root of all errors that peatd raises on purpose. `str()` of one is a sentence for its reader."""


class ConfigError(PeatError):
    """A setting is wrong. The message names its origin, what was found and what to do."""


class InvalidName(ConfigError, ValueError):
    """A name or an address does not parse."""


class TokenRefused(PeatError):
    """A client's token is not one of ours, or not for now. The message never holds it."""


class MalformedMessage(PeatError):
    """A Yjs client sent bytes that are not its protocol."""


class DemoFailed(PeatError):
    """The nodes of a demo are not up and linked."""


class SecretFixed(PeatError):
    """The formation secret is kept where we cannot write. The message says where, and who can."""


class RotationRefused(PeatError):
    """The step would leave a node behind, or another one comes first. Nothing has changed."""


class RevocationsFull(PeatError):
    """The list of revoked keys is as long as it may be."""


class DocumentError(PeatError):
    """A request about a document that cannot be done; nothing was changed."""


class NoSuchDocument(DocumentError):
    """There is no such document here."""


class DocumentEnded(DocumentError):
    """The update holds content of an earlier life of the document, which was deleted: that must not come back."""


class PreconditionFailed(DocumentError):
    """`If-Match` names another version of the document."""


class MalformedUpdate(DocumentError):
    """The bytes are not a well-formed Yjs v1 update, or one that the engine cannot hold."""


class Gap(MalformedUpdate):
    """The update leaves out what lies between parts of it: nobody can merge all of it as it is."""


class MissingUpdates(DocumentError):
    """The update builds on updates that we lack.

    Attributes:
        state_vector: what we have, as a Yjs v1 state vector: make the update for this one.
    """

    def __init__(self, message: str, state_vector: bytes) -> None:
        super().__init__(message)
        self.state_vector = state_vector


class Overtaken(DocumentError):
    """The document was deleted, and the change, made in ignorance of that, is gone with it."""


class InvalidEdit(DocumentError):
    """The JSON cannot be held by a document."""


class TooLarge(DocumentError):
    """More than a stated limit."""


class Quarantined(DocumentError):
    """The update killed, hung or panicked the engine. It was set aside and is not applied."""


class Unavailable(PeatError):
    """We cannot do it now: draining, the disk is full, the engine is restarting. Try again later."""


class AckTimeout(Unavailable):
    """The change is made, but the rung that was asked for was not reached in time.

    Attributes:
        reached: the rung that was: `applied`, `durable` or `replicated:K`.
    """

    def __init__(self, message: str, reached: str) -> None:
        super().__init__(message)
        self.reached = reached


class Barred(Unavailable):
    """The engine failed at this request about this document, and is not asked again: the message says until when."""


class StoreError(PeatError):
    """The store cannot be opened or read."""


class StoreUnavailable(StoreError):
    """The disk does not let us, for now: it is full, failing or read-only. Who starts us may try again."""


class StoreDamaged(StoreError):
    """Pages of the store's file are damaged. Opening it again saves all that can be read."""


class StoreLocked(StoreError):
    """Another daemon has the data directory open."""


class StoreSchemaError(StoreError):
    """The store was written by a newer peatd."""


class PeerError(PeatError):
    """The other node's fault, or the network's between us."""


class WireError(PeerError):
    """The peer sent bytes that are not our protocol."""


class CardForged(PeerError):
    """A member's card that this member has not signed."""


class RevocationForged(PeerError):
    """A revocation that no member of the formation has made."""


class Unreachable(PeerError):
    """No connection came about.

    Attributes:
        code: `refused`, `no-answer`, `dns` or `no-route`.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class RelayError(PeerError):
    """A relay does not answer, refuses, leads elsewhere, or is none.

    Attributes:
        code: what went wrong, for programs: a word of `relay/connecting.py`, or the relay's own.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class HandshakeError(PeerError):
    """The other side is not of our formation, or did not prove it in time.

    Attributes:
        code: what went wrong, for programs: a word of `transport/establish.py`, or that of the peer's GOAWAY.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class CertificateRefused(HandshakeError):
    """The receiver refused our certificate.

    Attributes:
        accepts: index of the accepted secret whose CA signed the receiver's own leaf: one that it does accept.
    """

    def __init__(self, message: str, code: str, accepts: int) -> None:
        super().__init__(message, code)
        self.accepts = accepts


class Declined(HandshakeError):
    """We who have dialled need no link with whom we have found there: there is one already, or both have enough.

    Attributes:
        device_id: whom we have found.
    """

    def __init__(self, message: str, code: str, device_id: str) -> None:
        super().__init__(message, code)
        self.device_id = device_id


class DiscoveryError(PeatError):
    """A source of peers cannot work."""


class EventStreamConsumed(DiscoveryError):
    """The event stream of a strategy can be taken once."""


class MalformedSlice(DiscoveryError, ValueError):
    """The object does not have the shape of a Kubernetes EndpointSlice."""


class MalformedNotice(DiscoveryError, ValueError):
    """The bytes are no message of multicast DNS."""
