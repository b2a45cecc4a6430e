"""From a fresh stream to a link: TLS, the proof, HELLO. All of it within `HANDSHAKE_DEADLINE`, or the stream is closed.

The codes of `HandshakeError`:
    timeout             not done in time
    closed              the other side closed without a word
    not-peat            it does not speak TLS 1.3 with our ALPN, or nonsense behind it
    not-our-formation   its certificate is not signed by a CA of our formation
    refused             it refused our certificate
    proof               it did not prove that it knows the secret, or did not accept our proof
    unsupported         HELLO names another protocol, formation or limit
    declined            whoever has dialled has found a node with which it needs no link
    else                that of its GOAWAY

TLS 1.3 lets an initiator finish before the receiver has judged its certificate. A refusal then arrives, as an alert,
where the initiator expects the receiver's first bytes.
"""

import secrets
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from peatd.errors import CertificateRefused, Declined, HandshakeError, WireError
from peatd.names import Address, DeviceId, Fingerprint, NodeId
from peatd.transport.link import Link, LinkPeer
from peatd.transport.tls import ALPN, Credentials, Vouched
from peatd.transport.tls_stream import TlsStream
from peatd.wire import handshake
from peatd.wire.connection import Connection, frame
from peatd.wire.messages import MAX_FRAME_BYTES, PROTOCOL, Goaway, Hello, Message

HANDSHAKE_DEADLINE = 10.0
_GOAWAY_DEADLINE = 1.0

TIMEOUT = "timeout"
CLOSED = "closed"
NOT_PEAT = "not-peat"
NOT_OUR_FORMATION = "not-our-formation"
REFUSED = "refused"
UNSUPPORTED = "unsupported"
DECLINED = "declined"

_SAME_SECRET = "are the formation secret and --formation the same on both nodes?"


Declines = Callable[[LinkPeer], str | None]
"""Why whoever has dialled wants no link with whom it has found; None if it does."""


async def initiate(
    stream: trio.abc.Stream,
    credentials: Credentials,
    hello: Hello,
    address: Address,
    *,
    secret_index: int = 0,
    declines: Declines = lambda _: None,
) -> Link:
    """Makes a link of a stream that we opened; closes the stream if that fails.

    Args:
        secret_index: whose secret's CA signed the leaf that we show.
        declines: is asked before our HELLO, so that for the peer there has been no link yet.

    Raises:
        HandshakeError: if it fails, with a code of this module. A `CertificateRefused` says which leaf would do.
    """
    context = credentials.initiating_contexts[secret_index]
    tls = TlsStream(stream, context, server_side=False, server_name=credentials.server_name)

    async def prove() -> _Proven:
        vouched = credentials.identify(tls.peer_leaf)
        parties = handshake.Parties(credentials.formation.name, credentials.keypair.device_id, vouched.device_id)
        key = credentials.formation.proof_key(secret_index)
        end = handshake.Initiator(parties, key, secrets.token_bytes(handshake.NONCE_BYTES))
        try:
            await _send(tls, end.opening)
            await _exchange_proof(tls, end)
        except HandshakeError as exc:
            if exc.code == REFUSED:
                raise CertificateRefused(str(exc), REFUSED, accepts=vouched.secret_index) from exc
            raise
        return _Proven.of(credentials, vouched, secret_index)

    return await _bounded(tls, lambda: _establish(tls, prove, hello, address, declines))


async def receive(stream: trio.abc.Stream, credentials: Credentials, hello: Hello, address: Address) -> Link:
    """Makes a link of a stream that was opened to us; closes the stream if that fails.

    Raises:
        HandshakeError: if it fails, with a code of this module.
    """
    tls = TlsStream(stream, credentials.receiving_context, server_side=True)

    async def prove() -> _Proven:
        vouched = credentials.identify(tls.peer_leaf)
        parties = handshake.Parties(credentials.formation.name, vouched.device_id, credentials.keypair.device_id)
        key = credentials.formation.proof_key(vouched.secret_index)
        await _exchange_proof(tls, handshake.Receiver(parties, key, secrets.token_bytes(handshake.NONCE_BYTES)))
        return _Proven.of(credentials, vouched, vouched.secret_index)

    return await _bounded(tls, lambda: _establish(tls, prove, hello, address, None))


@dataclass(frozen=True, slots=True)
class _Proven:
    """Who the peer is, and what that stands on, whatever our credentials are a moment later."""

    vouched: Vouched
    by: tuple[Fingerprint, ...]
    met_as: DeviceId

    @classmethod
    def of(cls, credentials: Credentials, vouched: Vouched, secret_index: int) -> "_Proven":
        known = credentials.formation.fingerprints
        by = dict.fromkeys((known[secret_index], known[vouched.secret_index]))
        return cls(vouched, tuple(by), credentials.keypair.device_id)


async def _bounded(tls: TlsStream, establish: Callable[[], Awaitable[Link]]) -> Link:
    link = None
    try:
        with trio.move_on_after(HANDSHAKE_DEADLINE):
            link = await establish()
    finally:
        if link is None:
            await trio.aclose_forcefully(tls)
    if link is None:
        raise HandshakeError(f"the handshake was not done within {HANDSHAKE_DEADLINE:.0f} s", code=TIMEOUT)
    return link


async def _establish(
    tls: TlsStream,
    prove: Callable[[], Awaitable[_Proven]],
    hello: Hello,
    address: Address,
    declines: Declines | None,
) -> Link:
    try:
        await tls.handshake()
    except trio.BrokenResourceError as exc:
        raise _explained(exc) from exc
    if tls.alpn != ALPN:
        raise HandshakeError(f"it speaks TLS, but not {ALPN}", code=NOT_PEAT)
    proven = await prove()
    if declines is None:
        await _send(tls, frame([hello]))
    connection = Connection()
    first, *early = await _first_messages(tls, connection)
    theirs = await _checked_hello(tls, first, hello)
    peer = LinkPeer(
        node_id=NodeId(theirs.node_id),
        device_id=proven.vouched.device_id,
        public_key=proven.vouched.public_key,
        instance=theirs.instance,
        version=theirs.version,
        initiating=declines is not None,
        hears_awareness=theirs.awareness,
        hears_horizon=theirs.horizon,
        accepts=tuple(Fingerprint(name) for name in theirs.secrets),
        proven_by=proven.by,
        met_as=proven.met_as,
        gossips=theirs.gossip,
        reads_summaries=theirs.summaries,
        restricted=frozenset(theirs.restricted) if theirs.interest else None,
        links=theirs.links,
        max_links=theirs.max_links,
    )
    if declines is not None:
        await _decline(tls, peer, declines(peer))
        await _send(tls, frame([hello]))
    return Link(tls, peer, address, connection=connection, early=early)


async def _decline(tls: TlsStream, peer: LinkPeer, reason: str | None) -> None:
    if reason is not None:
        await _part(tls, Goaway(DECLINED, reason))
        raise Declined(f"{peer.node_id}: {reason}", DECLINED, peer.device_id)


async def _part(tls: TlsStream, goaway: Goaway) -> None:
    """Best effort: the peer's operator should read it too."""
    with trio.move_on_after(_GOAWAY_DEADLINE):
        await _send(tls, frame([goaway]))
        await tls.aclose()


async def _exchange_proof(tls: TlsStream, end: handshake.Initiator | handshake.Receiver) -> None:
    while end.wants:
        received = bytearray()
        while len(received) < end.wants:
            received += await _receive_some(tls, end.wants - len(received))
        answer = end.receive(bytes(received))
        if answer:
            await _send(tls, answer)


async def _first_messages(tls: TlsStream, connection: Connection) -> list[Message]:
    try:
        while True:
            messages = connection.receive(await _receive_some(tls))
            if messages:
                return messages
    except WireError as exc:
        raise HandshakeError(str(exc), code=NOT_PEAT) from exc


async def _checked_hello(tls: TlsStream, first: Message, ours: Hello) -> Hello:
    if isinstance(first, Goaway):
        raise HandshakeError(f"the peer ended the link ({first.code}): {first.message}", code=first.code)
    if not isinstance(first, Hello):
        raise HandshakeError(f"it began with {type(first).__name__} instead of HELLO", code=NOT_PEAT)
    fault = _fault(first, ours)
    if fault is None:
        return first
    await _part(tls, Goaway(UNSUPPORTED, fault))
    raise HandshakeError(fault, code=UNSUPPORTED)


def _fault(theirs: Hello, ours: Hello) -> str | None:
    if theirs.protocol != PROTOCOL:
        return f"node {theirs.node_id} speaks protocol {theirs.protocol}, {ours.node_id} speaks {PROTOCOL}: update one"
    if theirs.formation != ours.formation:
        return f"node {theirs.node_id} is of another formation than {ours.node_id}: is --formation the same?"
    if theirs.max_frame_bytes < MAX_FRAME_BYTES:
        return (
            f"node {theirs.node_id} takes no frame beyond {theirs.max_frame_bytes} bytes, ours have {MAX_FRAME_BYTES}"
        )
    return None


async def _send(tls: TlsStream, sent: bytes | bytearray) -> None:
    try:
        await tls.send_all(sent)
    except trio.BrokenResourceError:
        # The peer has closed, and may have said why: what we read next tells.
        return


async def _receive_some(tls: TlsStream, max_bytes: int | None = None) -> bytes:
    try:
        received = await tls.receive_some(max_bytes)
    except trio.BrokenResourceError as exc:
        raise _explained(exc) from exc
    if not received:
        raise HandshakeError(f"the peer closed the connection in the handshake: {_SAME_SECRET}", code=CLOSED)
    return received


_REFUSALS = {
    "TLSV1_ALERT_UNKNOWN_CA",
    "TLSV1_ALERT_DECRYPT_ERROR",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED",
    "SSLV3_ALERT_BAD_CERTIFICATE",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
}
"""OpenSSL's names of the alerts (RFC 8446, 6.2) that are about a certificate."""


def _is_cut(cause: ssl.SSLError) -> bool:
    """What Python makes an SSLEOFError in its later releases, and an SSLError in its earlier ones."""
    return cause.reason == "UNEXPECTED_EOF_WHILE_READING"


def _explained(exc: trio.BrokenResourceError) -> HandshakeError:
    cause = exc.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return HandshakeError(
            f"its certificate is not of our formation ({cause.verify_message}): {_SAME_SECRET}", code=NOT_OUR_FORMATION
        )
    if (
        not isinstance(cause, ssl.SSLError)
        or isinstance(cause, ssl.SSLEOFError | ssl.SSLSyscallError | ssl.SSLZeroReturnError)
        or _is_cut(cause)
    ):
        return HandshakeError("the connection was closed in the handshake", code=CLOSED)
    if cause.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return HandshakeError("it showed no certificate: it is not a node of our formation", code=NOT_OUR_FORMATION)
    if cause.reason in _REFUSALS:
        return HandshakeError(f"refused by the peer: {_SAME_SECRET}", code=REFUSED)
    # Of alerts that Python has no name for (one is: it knows no such ALPN), OpenSSL's sentence.
    reason = cause.reason or str(cause.strerror).removeprefix("[SSL] ").partition(" (_ssl")[0]
    return HandshakeError(f"it does not speak TLS as peat does ({reason})", code=NOT_PEAT)
