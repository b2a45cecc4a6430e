"""Every decoder of bytes from outside, what it may raise, and good bytes to begin with.

A target takes the bytes or raises its documented error, whatever they are; an assertion in a target says more.
"""

import contextlib
import json
import string
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import h11
import msgspec
from wsproto.connection import Connection as WebSocket
from wsproto.connection import ConnectionType
from wsproto.events import CloseConnection, Ping
from wsproto.utilities import LocalProtocolError

from peatd.api import decode as api
from peatd.api.refusal import Refusal
from peatd.client_tokens import mint, verify
from peatd.clients import hocuspocus, protocol, request, states
from peatd.config import load
from peatd.cut import cut
from peatd.discovery import dnssd
from peatd.discovery.endpointslice import extract_peers_from_endpoint_slice
from peatd.discovery.watch import Nonsense, read_line, read_page
from peatd.engine.protocol import Done, Frames, Garbled, Opened, decode_replies, frame
from peatd.engine.tree import Tree
from peatd.errors import (
    ConfigError,
    HandshakeError,
    InvalidEdit,
    InvalidName,
    MalformedMessage,
    MalformedNotice,
    MalformedSlice,
    MalformedUpdate,
    RelayError,
    TokenRefused,
    WireError,
)
from peatd.events import EventLog, Wanted
from peatd.formation import parse_formation_secret
from peatd.identity import Keypair
from peatd.names import Address, DeviceId, DocumentName, NodeId, parse_document_name
from peatd.papers.leaf import read_leaf
from peatd.reach import Reach, decode_state_vector
from peatd.relay import protocol as relay
from peatd.relay.gate import Gate
from peatd.relay_url import RelayUrl
from peatd.rewrite import harmless, without_deleted
from peatd.store.records import parse_row
from peatd.update import check, examine
from peatd.wire import messages
from peatd.wire.connection import Connection
from peatd.wire.connection import frame as wire_frame
from peatd.wire.handshake import Initiator, Parties, Receiver

VECTORS = Path(__file__).parent.parent / "vectors"
UPDATES = [bytes.fromhex(vector["hex"]) for vector in json.loads((VECTORS / "updates.json").read_text())["good"]]
BROKE = [
    bytes.fromhex(update)
    for vector in json.loads((VECTORS / "hostile.json").read_text())["vectors"]
    for update in vector["updates"]
]
"""What once broke an engine, a copy or a mesh: it is run through everything."""

KEY = bytes(range(32))
_PARTIES = Parties("peat", DeviceId("a" * 32), DeviceId("b" * 32))


@dataclass(frozen=True)
class Target:
    """Attributes:
    decode: is given anything.
    errors: that it may raise.
    seeds: what it should take, or nearly.
    """

    decode: Callable[[bytes], object]
    errors: tuple[type[Exception], ...]
    seeds: Sequence[bytes] = ()

    def run(self, junk: bytes) -> None:
        with contextlib.suppress(*self.errors):
            self.decode(junk)


def _update(junk: bytes) -> None:
    examined = examine(junk, subdocuments=True)
    assert examined.content == check(junk, subdocuments=True)
    assert check(without_deleted(junk, examined.content), subdocuments=True).ends == examined.content.ends
    safe = harmless(junk, examined, Reach(), {})
    assert check(safe, subdocuments=True).ends == examined.content.ends
    reach = Reach()
    reach.absorb(examined.content)
    assert Reach.decode(reach.encode()).digest() == reach.digest()
    with contextlib.suppress(InvalidEdit):
        Tree().integrate(junk, examined)
    pieces = Reach()
    for piece in cut(junk, 16):
        pieces.absorb(check(piece, subdocuments=True))
    assert pieces.state_vector() == reach.state_vector()


def _message(junk: bytes) -> None:
    message = messages.decode(junk)
    assert messages.decode(messages.encode(message)) == message


def _framing(junk: bytes) -> None:
    def hear(*parts: bytes) -> object:
        connection, heard = Connection(), []
        try:
            for part in parts:
                heard += connection.receive(part)
        except WireError:
            return WireError
        return heard

    whole = hear(junk)
    assert hear(junk[: len(junk) // 2], junk[len(junk) // 2 :]) == whole
    assert hear(*(junk[n : n + 1] for n in range(len(junk)))) == whole


def _proof(junk: bytes) -> None:
    for end in (Initiator(_PARTIES, KEY, bytes(32)), Receiver(_PARTIES, KEY, bytes(32))):
        with contextlib.suppress(HandshakeError):
            while end.wants:
                part, junk = junk[: end.wants], junk[end.wants :]
                end.receive(part)
            raise AssertionError("a stranger has proved something")


def _websocket(junk: bytes) -> None:
    """As a client's session does it."""
    socket = WebSocket(ConnectionType.SERVER)
    socket.receive_data(junk)
    for event in socket.events():
        if isinstance(event, Ping):
            socket.send(event.response())
        if isinstance(event, CloseConnection):
            socket.send(CloseConnection(event.code, event.reason or ""))
            return


def _awareness(junk: bytes) -> None:
    for told in states.decode(junk):
        states.check(told)
        if told.state:
            json.loads(told.state.decode())
    assert states.decode(states.encode(states.decode(junk))) == states.decode(junk)


def _handshake(junk: bytes) -> None:
    http = h11.Connection(h11.SERVER, max_incomplete_event_size=16 * 1024)
    http.receive_data(junk)
    event = http.next_event()
    if isinstance(event, h11.Request):
        request.parse(event)


def _queries(junk: bytes) -> None:
    text = junk.decode("utf-8", "surrogateescape")
    name, _, value = text.partition("=")
    query = api.Query([(name, value)], ("ack", "timeout", "limit", "after", "sv"))
    api.parse_wait(query)
    api.parse_limit(query.get("limit"))
    api.parse_after(query.get("after"))
    if query.get("sv") is not None:
        decode_state_vector(api.parse_state_vector(query.get("sv")))


def _headers(junk: bytes) -> None:
    lines = junk.decode("latin-1").split("\n")
    for parse in (api.parse_if_match, api.parse_if_none_match):
        with contextlib.suppress(Refusal):
            parse(lines)
    with contextlib.suppress(Refusal):
        api.require_content_type(lines[0], ("application/json",))


def _slice(junk: bytes) -> None:
    try:
        value = json.loads(junk)
    except (ValueError, RecursionError):
        return
    for peer in extract_peers_from_endpoint_slice(value):
        msgspec.json.encode((peer.node_id, peer.metadata, [str(address) for address in peer.addresses]))


def _watch(junk: bytes) -> None:
    for read in (read_line, read_page):
        with contextlib.suppress(Nonsense):
            read(junk, "peat.")


def _settings(junk: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(junk)
        file.flush()
        load([], {"PEAT_FORMATION_SECRET": "A" * 44, "HOME": "/nowhere"}, default_file=Path(file.name))


def _row(junk: bytes) -> None:
    number = int.from_bytes(junk[:4])
    columns: Sequence[object] = (number, "a/b", junk[:1], number, junk.decode("latin-1"), junk, None)
    for turn in range(len(columns)):
        parse_row(DocumentName("a/b"), [*columns[turn:], *columns[:turn]])
    parse_row(DocumentName("a/b"), (number, "a/b", 1, 0, 0, junk[:8], junk[8:]))


def _token(junk: bytes) -> None:
    grant = verify(junk.decode("utf-8", "surrogateescape"), [KEY], 1.0)
    assert grant.subject


def _last_event_id(junk: bytes) -> None:
    log = EventLog("0" * 8)
    with log.reading(junk.decode("latin-1"), Wanted(), lambda: None) as reader:
        reader.take()


def _replies(junk: bytes) -> None:
    list(decode_replies(Frames().receive(junk)))


def _notice(junk: bytes) -> None:
    message = dnssd.read_packet(junk)
    if isinstance(message, dnssd.Told):
        for notice, lifetime in message.notices:
            assert lifetime > 0
            assert 1 <= notice.port <= 65535
            assert 1 <= len(notice.hosts) <= dnssd.MAX_HOSTS
            assert 1 <= len(notice.formations) <= dnssd.MAX_HASHES
            again = dnssd.read_packet(dnssd.notice_packet(notice, 25))
            assert isinstance(again, dnssd.Told)
            assert {found for found, _ in again.notices} == {notice}


def _names(junk: bytes) -> None:
    text = junk.decode("utf-8", "surrogateescape")
    with contextlib.suppress(InvalidName):
        assert parse_document_name(text) == text
    with contextlib.suppress(InvalidName):
        assert Address.parse(str(Address.parse(text))) == Address.parse(text)
    with contextlib.suppress(ConfigError):
        parse_formation_secret(text, "fuzz")


def _example_token() -> bytes:
    return mint(KEY, subject="alice", documents=["notes/*"], may_write=True, expires=2**31).encode()


def _relay_request() -> relay.Request:
    return relay.Signer(Keypair.from_secret(KEY), (Keypair.from_secret(KEY),)).request("dial", "a" * 32, "h:1", KEY)


def _relay(junk: bytes) -> None:
    """Whatever a stranger asks of a relay, it is refused or none; in pieces it is what it is as a whole."""
    heard = []
    for parts in ([junk], [junk[start : start + 1] for start in range(len(junk))]):
        frames, messages_heard = relay.Frames(), []
        try:
            for part in parts:
                frames.receive(part)
                while (message := frames.next()) is not None:
                    messages_heard.append(message)
        except WireError:
            messages_heard.append(None)
        heard.append(messages_heard)
    assert heard[0] == heard[1]
    gate = Gate(("h",), lambda: [Keypair.from_secret(KEY).public_key])
    for message in heard[0]:
        if isinstance(message, relay.Request):
            with contextlib.suppress(RelayError):
                gate.check(message, KEY, "10.0.0.1")


def _relay_url(junk: bytes) -> None:
    url = RelayUrl.parse(junk.decode("latin-1"))
    assert RelayUrl.parse(str(url)) == url


_HELLO = messages.Hello(1, "alice", "peat", bytes(16), 2**20, "1")
_MESSAGES: Sequence[messages.Message] = (
    _HELLO,
    messages.Ping(1),
    messages.Compare("", [bytes(16)] * 16),
    messages.Offer("a", [messages.Offered("a/b", 1, False, bytes(16))]),
    messages.State("a/b", 1, b"\x00", bytes(16), 1, 1, True, [1, 2]),
    messages.Updates("a/b", 1, 1, 1, [b"\x00\x00"]),
    messages.Piece("a/b", 1, 1, 1, 5, 0, b"12345"),
    messages.Tombstone("a/b", 1, 1, [1]),
    messages.Durable([messages.Reached("a/b", 1, 1)]),
    messages.Presence("a/b", [messages.Present(1, 1, b"{}")]),
)
_SLICE = {
    "metadata": {"name": "s", "resourceVersion": "1", "annotations": {"peat.zone": "west"}},
    "ports": [{"name": "peat", "port": 11204}],
    "endpoints": [{"addresses": ["10.0.0.1"], "targetRef": {"name": "peat-mesh-0", "uid": "u"}}],
}
_NOTICE = dnssd.Notice("a-1", NodeId("a"), DeviceId("aa" * 16), 11204, ("0123456789abcdef",), ("10.0.0.1", "fd00::1"))
_UPGRADE = (
    b"GET /sync/a/b?token=x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_FRAMES = (b"\x82\x85\x00\x00\x00\x00hello", b"\x88\x82\x00\x00\x00\x00\x03\xe8", b"\x89\x80\x00\x00\x00\x00")

TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        "update": Target(_update, (MalformedUpdate,), [*UPDATES, *BROKE]),
        "state-vector": Target(decode_state_vector, (MalformedUpdate,), [b"\x00", b"\x01\x05\x07"]),
        "reach": Target(Reach.decode, (ValueError,), [Reach().encode()]),
        "message": Target(_message, (WireError,), [messages.encode(message) for message in _MESSAGES]),
        "framing": Target(_framing, (), [bytes(wire_frame(_MESSAGES))]),
        "proof": Target(_proof, (), [bytes(64), bytes(97)]),
        "certificate": Target(read_leaf, ()),
        "y-websocket": Target(
            protocol.decode, (MalformedMessage,), [protocol.update(b"\x00\x00"), protocol.step_1(b"\x00")]
        ),
        "hocuspocus": Target(hocuspocus.decode, (MalformedMessage,), [hocuspocus.prefix("a/b") + b"\x02\x00\x00"]),
        "awareness": Target(_awareness, (MalformedMessage,), [b"\x01\x05\x01\x02{}"]),
        "websocket": Target(_websocket, (LocalProtocolError,), _FRAMES),
        "handshake": Target(_handshake, (request.Refused, h11.RemoteProtocolError), [_UPGRADE]),
        "query": Target(_queries, (Refusal, InvalidName, MalformedUpdate), [b"ack=durable", b"sv=AA", b"limit=7"]),
        "header": Target(_headers, (), [b'"a", W/"b"', b"*", b"application/json"]),
        "body": Target(api.parse_object, (Refusal,), [b'{"a": [1, {"b": null}]}']),
        "endpoint-slice": Target(_slice, (MalformedSlice,), [json.dumps(_SLICE).encode()]),
        "notice": Target(
            _notice,
            (MalformedNotice,),
            [dnssd.notice_packet(_NOTICE, 25), dnssd.question([("a-1", 20)]), dnssd.farewell_packet("a-1")],
        ),
        "watch": Target(_watch, (), [json.dumps({"type": "ADDED", "object": _SLICE}).encode()]),
        "settings": Target(_settings, (ConfigError,), [b'node_id = "a"\n[[peers]]\naddress = "h:1"\n', b"bind = 5\n"]),
        "row": Target(_row, ()),
        "token": Target(_token, (TokenRefused,), [_example_token()]),
        "last-event-id": Target(_last_event_id, (), [b"00000000-1"]),
        "engine-reply": Target(_replies, (Garbled,), [frame(Done()), frame(Opened(b""))]),
        "relay": Target(_relay, (WireError,), [relay.frame(relay.Challenge(bytes(32))), relay.frame(_relay_request())]),
        "relay-url": Target(_relay_url, (ValueError,), [b"https://h:1/x", b"tcp://[::1]:5"]),
        "name": Target(_names, (), [b"a/b", b"[::1]:5", string.ascii_letters.encode()]),
    }
)
