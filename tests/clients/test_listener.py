"""The port for clients, over real sockets: who is let in, how bad input ends, and what keeps a connection alive."""

import time
from collections.abc import Sequence

import pytest
import trio
import trio.lowlevel
import y_py
from fakes.clients import API_TOKEN, KEY, Port, WsClient, port
from fakes.replicas import Replica
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.extensions import PerMessageDeflate
from wsproto.utilities import LocalProtocolError

from peatd.client_tokens import mint
from peatd.clients import closes, hocuspocus, protocol, states
from peatd.clients.budget import BURST
from peatd.clients.protocol import Presence, Step1, Update
from peatd.clients.session import (
    DEAD_AFTER,
    MAX_GREETING_BYTES,
    PING_INTERVAL,
    QUIET,
    UNREAD_BYTES,
    Session,
)
from peatd.names import DocumentName
from peatd.speakers import Told

NOTES = DocumentName("notes/a")
BROWSER = b"https://app.example.org"


def text_update(text: str, doc: y_py.YDoc | None = None) -> bytes:
    doc = doc or y_py.YDoc(7)
    before = y_py.encode_state_vector(doc)
    with doc.begin_transaction() as transaction:
        doc.get_text("t").insert(transaction, 0, text)
    return bytes(y_py.encode_state_as_update(doc, before))


def token(documents: str = "notes/*", *, may_write: bool = True, ttl: float = 3600, key: bytes = KEY) -> str:
    return mint(key, subject="alice", documents=[documents], may_write=may_write, expires=time.time() + ttl)


async def only_session(alice: Port) -> Session:
    while not alice.reception.clients:  # it is let in before it is counted
        await trio.lowlevel.checkpoint()
    (session,) = alice.reception._sessions
    return session


async def synced(client: WsClient) -> None:
    """Does what a provider does on opening: tells its state vector and asks who is there, and waits for step 2."""
    await client.send(bytes((protocol.QUERY_AWARENESS,)))
    await client.send(protocol.step_1(b"\x00"))
    assert await client.said() == Step1(b"\x00")
    said = await client.said()
    while not (isinstance(said, Update) and said.is_step_2):
        said = await client.said()


async def presence(client: WsClient) -> list[Told]:
    """The next awareness that tells anything; other messages are passed over."""
    while True:
        said = await client.said()
        if isinstance(said, Presence) and said.states != b"\x00":
            return states.decode(said.states)


def present(client: int, clock: int, state: bytes = b"{}") -> bytes:
    return protocol.presence(states.encode([Told(client, clock, state)]))


async def test_two_clients_edit_and_see_each_other(alice: Port) -> None:
    async with alice.visit() as one, alice.visit() as other:
        await synced(one)
        await synced(other)
        update = text_update("hello")
        await one.send(protocol.update(update))
        assert await other.said() == Update(update, is_step_2=False)
        await one.send(present(7, 1, b'{"name":"one"}'))
        assert await presence(other) == [Told(7, 1, b'{"name":"one"}')]
    assert (await alice.replica.library.read(NOTES)).roots == {"t": "hello"}


async def test_a_client_that_goes_takes_its_awareness_along(alice: Port) -> None:
    async with alice.visit() as other:
        await synced(other)
        async with alice.visit() as one:
            await one.send(present(7, 1))
            assert await presence(other) == [Told(7, 1, b"{}")]
            await other.send(present(7, 1))  # stock clients send back what they hear
        assert await presence(other) == [Told(7, 1, b"")]


async def test_who_joins_or_asks_is_told_who_is_there(alice: Port) -> None:
    async with alice.visit() as one:
        await one.send(present(7, 1))
        await one.send(protocol.step_1(b"\x00"))
        assert [type(await one.said()) for _ in range(2)] == [Step1, Update]
        async with alice.visit() as other:
            await other.send(protocol.step_1(b"\x00"))
            assert await presence(other) == [Told(7, 2, b"{}")]
            await other.send(bytes((protocol.QUERY_AWARENESS,)))
            assert await presence(other) == [Told(7, 3, b"{}")]


# Who is let in ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/", 404, "/sync/COLLECTION/ID"),
        ("/syncs/notes/a", 404, "/sync/COLLECTION/ID"),
        ("/sync", 400, "/sync/COLLECTION/ID"),
        ("/sync/notes", 400, "/sync/COLLECTION/ID"),
        ("/sync/notes/a/b", 400, "/sync/COLLECTION/ID"),
        ("/sync/notes/", 400, "is not a name"),
        ("/sync/notes/a%20b", 400, "is not a name"),
        ("/sync/no%2Ftes/a", 400, "is not a name"),
        ("/hocuspocus/a%20b", 400, "is not a name"),
    ],
)
async def test_a_wrong_path_or_name_is_answered_with_what_to_do(alice: Port, path: str, status: int, told: str) -> None:
    async with alice.visit(path) as client:
        await client.close_code()
        assert client.reply is not None
        assert client.reply.status == status
        assert told in client.reply.text


@pytest.mark.parametrize(
    ("request_bytes", "status", "told"),
    [
        (b"GET /sync/notes/a HTTP/1.1\r\nHost: x\r\n\r\n", b"426", b"speaks WebSocket"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"404", b"/sync/COLLECTION/ID"),
        (b"POST /sync/notes/a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", b"405", b"only GET"),
        (
            b"GET /sync/notes/a HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
            b"426",
            b"version 13",
        ),
        (
            b"GET /sync/notes/a HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\n\r\n",
            b"400",
            b"Sec-WebSocket-Key",
        ),
        (b"GET //[ HTTP/1.1\r\nHost: x\r\n\r\n", b"404", b"/sync/COLLECTION/ID"),
        (b"GET /sync/notes/a?" + b"a&" * 500 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"426", b"speaks WebSocket"),
        (b"\x16\x03\x01\x00\xa5 no HTTP at all\r\n\r\n", b"400", b"not HTTP/1.1"),
        (b"GET /" + b"x" * 60_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"431", b"not HTTP/1.1"),
    ],
)
async def test_a_bad_handshake_is_answered_and_closed(
    alice: Port, request_bytes: bytes, status: bytes, told: bytes
) -> None:
    async with await trio.open_tcp_stream(alice.address.host, alice.address.port) as stream:
        await stream.send_all(request_bytes)
        await stream.send_eof()
        answer = b"".join([part async for part in stream])
        assert answer.split(b" ")[1] == status
        assert told in answer
        assert b"connection: close" in answer.lower()


async def test_who_comes_takes_the_place_of_who_is_longest_in_its_handshake(
    alice: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peatd.clients.listener.MAX_HANDSHAKES", 3)
    silent = [await trio.open_tcp_stream(alice.address.host, alice.address.port) for _ in range(3)]
    for begun, stream in enumerate(silent):
        await stream.send_all(b"GET ")
        while len(alice.reception._handshakes) == begun:  # one after another, or who is longest at it?
            await trio.lowlevel.checkpoint()
    async with alice.visit() as client:
        await synced(client)
    assert await silent[0].receive_some() == b""
    assert alice.reception.turned_away == 1
    assert len(alice.reception._handshakes) == 2
    for stream in silent:
        await stream.aclose()


async def test_a_fault_on_one_connection_is_its_end_only(
    alice: Port, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_message: bytes) -> protocol.Message:
        raise RuntimeError("a fault of ours")

    async with alice.visit() as client, alice.visit() as other:
        with monkeypatch.context() as patched:
            patched.setattr(protocol, "decode", fail)
            await client.send(b"\x03")
            while client.closed is None:
                await client._hear()
        assert client.closed == closes.FAULT
        await synced(other)


async def test_compression_is_refused_and_the_first_subprotocol_taken(alice: Port) -> None:
    async with alice.visit(extensions=[PerMessageDeflate()], subprotocols=["yjs", "other"]) as client:
        assert client.reply is None
        assert not client.extensions
        assert client.subprotocol == "yjs"


@pytest.mark.parametrize("by", ["query", "header"])
async def test_a_token_lets_in_whom_it_names(replica: Replica, by: str) -> None:
    async with port(replica, loopback=False) as alice:

        async def status(shown: str | None, path: str = "/sync/notes/a") -> int:
            headers: Sequence[tuple[bytes, bytes]] = ()
            if shown is not None and by == "query":
                path += f"?token={shown}"
            elif shown is not None:
                headers = [(b"Authorization", b"Bearer " + shown.encode())]
            async with alice.visit(path, headers=headers) as client:
                return client.reply.status if client.reply else 101

        assert await status(None) == 401
        assert await status("nonsense") == 401
        assert await status(token(key=bytes(32))) == 401
        assert await status(token(ttl=-1)) == 401
        assert await status(token("other/*")) == 403
        assert await status(token()) == 101
        assert await status(API_TOKEN) == 101
        assert await status(API_TOKEN, "/sync/any/thing") == 101
        assert alice.reception.refused == 5


async def test_on_loopback_who_has_no_token_is_let_in_and_a_wrong_token_never_is(alice: Port) -> None:
    async def status(path: str = "/sync/notes/a", host: str | None = None, origin: bytes | None = None) -> int:
        headers = [(b"Origin", origin)] if origin else []
        async with alice.visit(path, headers=headers, host=host) as client:
            return client.reply.status if client.reply else 101

    assert await status() == 101
    assert await status("/sync/notes/a?token=wrong") == 401
    assert await status(host="localhost:8082") == 101
    assert await status(host="app.example.org") == 401  # a proxy in front of us, or a name that an attacker rebinds
    assert await status(origin=b"http://localhost:5173") == 101
    assert await status(origin=b"http://[::1]:5173") == 101
    for elsewhere in (BROWSER, b"null", b"file://", b"http://localhost.example.org"):
        assert await status(origin=elsewhere) == 403
    assert await status(f"/sync/notes/a?token={token()}", origin=BROWSER) == 101


async def test_where_origins_are_listed_no_other_page_is_let_in(replica: Replica) -> None:
    async with port(replica, origins=["https://app.example.org"]) as alice:

        async def status(origin: bytes | None, path: str = "/sync/notes/a") -> int:
            async with alice.visit(path, headers=[(b"Origin", origin)] if origin else []) as client:
                return client.reply.status if client.reply else 101

        assert await status(BROWSER) == 101
        assert await status(b"https://evil.example.org", f"/sync/notes/a?token={token()}") == 403
        assert await status(b"http://localhost") == 403
        assert await status(None) == 101


async def test_a_read_only_client_is_told_and_its_update_refused(replica: Replica) -> None:
    async with port(replica, loopback=False) as alice:
        async with alice.visit(f"/sync/notes/a?token={token(may_write=False)}") as reader:
            await synced(reader)
            await reader.send(protocol.update(text_update("mine")))
            assert (await reader.receive())[:2] == b"\x02\x00"
            async with alice.visit(f"/sync/notes/a?token={token()}") as writer:
                await synced(writer)
                await writer.send(protocol.update(text_update("yours", y_py.YDoc(8))))
                assert isinstance(await reader.said(), Update)
        assert (await replica.library.read(NOTES)).roots == {"t": "yours"}


async def test_when_its_token_expires_the_client_is_told_and_goes(replica: Replica) -> None:
    async with port(replica, loopback=False) as alice, alice.visit(f"/sync/notes/a?token={token(ttl=60)}") as client:
        session = await only_session(alice)
        session.tick(trio.current_time(), time.time() + 50)
        assert session.closing is None
        session.tick(trio.current_time(), time.time() + 61)
        assert await client.close_code() == closes.EXPIRED


async def test_when_its_secret_is_removed_the_client_is_told_and_goes(replica: Replica) -> None:
    """At a rotation: until then, tokens of the old secret are as good as those of the new one."""
    async with port(replica, loopback=False) as alice, alice.visit(f"/sync/notes/a?token={token()}") as client:
        session = await only_session(alice)
        alice.keys.insert(0, b"the new secret's")
        session.tick(trio.current_time(), time.time())
        assert session.closing is None
        del alice.keys[1]
        session.tick(trio.current_time(), time.time())
        assert await client.close_code() == closes.RETIRED


async def test_of_many_documents_only_those_go_whose_secret_is_removed(replica: Replica) -> None:
    async with port(replica, loopback=False) as alice, alice.visit("/hocuspocus") as client:
        for name, shown in (("notes/a", token()), ("notes/b", API_TOKEN)):
            prefix = hocuspocus.prefix(name)
            await client.send(prefix + bytes((2, 0, len(shown) & 0x7F | 0x80, len(shown) >> 7)) + shown.encode())
            assert await client.receive() == prefix + hocuspocus.authenticated(may_write=True)
            assert await client.receive() == prefix + protocol.step_1(b"\x00")
        session = await only_session(alice)
        alice.keys.clear()
        session.tick(trio.current_time(), time.time())
        assert await client.receive() == hocuspocus.prefix("notes/a") + hocuspocus.close(closes.RETIRED.reason)
        assert session.closing is None


# Bad input ----------------------------------------------------------------------------------------------------


async def test_text_frames_are_refused(alice: Port) -> None:
    async with alice.visit() as client:
        await client.send_event(TextMessage("hello"))
        assert await client.close_code() == closes.NOT_BINARY


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (b"", "cut short"),
        (b"\x00\x00", "cut short"),
        (b"\x00\x07\x00", "no step 7"),
        (b"\x00\x00\x02\x01\x05", "state vector"),
        (b"\x00\x00\x02\x05\x05", "more than it holds"),
        (protocol.update(b"\xff" * 40), ""),
        (protocol.presence(b"\x01\x05\x01\x01{"), "not JSON"),
        (protocol.presence(b"\x05\x05"), "cut short"),
    ],
)
async def test_a_malformed_message_closes_with_4400_and_a_reason(alice: Port, message: bytes, told: str) -> None:
    async with alice.visit() as client:
        await client.send(message)
        code, reason = await client.close_code()
        assert code == closes.MALFORMED
        assert told in reason
        async with alice.visit() as other:  # nobody else is the worse for it
            await synced(other)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (bytes.fromhex("82 01 05"), 1002),  # not masked
        (bytes.fromhex("c2 81 00000000 05"), 1002),  # a reserved bit: compressed, perhaps
        (bytes.fromhex("83 81 00000000 05"), 1002),  # an opcode that there is not
        (bytes.fromhex("81 81 00000000 ff"), 1007),  # not UTF-8
        (bytes.fromhex("88 81 00000000 05"), 1002),  # a close frame cut short
    ],
)
async def test_a_frame_that_is_none_closes_the_connection(alice: Port, frame: bytes, code: int) -> None:
    async with alice.visit() as client:
        await client.stream.send_all(frame)
        assert (await client.close_code())[0] == code


async def test_a_message_that_is_too_large_closes_with_1009(alice: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    limit_bytes = 3 * 2**20
    monkeypatch.setattr("peatd.clients.session.MAX_MESSAGE_BYTES", limit_bytes)
    async with alice.visit() as client, trio.open_nursery() as nursery:

        async def send() -> None:
            try:
                for _ in range(limit_bytes // 2**20 + 1):
                    await client.send_event(BytesMessage(bytes(2**20), message_finished=False))
            except (trio.BrokenResourceError, LocalProtocolError):
                pass  # it is being closed

        nursery.start_soon(send)
        assert await client.close_code() == closes.too_long(limit_bytes)
        nursery.cancel_scope.cancel()


async def test_unknown_kinds_are_ignored(alice: Port) -> None:
    async with alice.visit() as client:
        await client.send(b"\x63whatever")
        await client.send(b"\x02\x00\x02no")
        await synced(client)


async def test_a_client_that_floods_is_closed_and_one_that_writes_is_not(alice: Port) -> None:
    async with alice.visit() as writer, alice.visit() as flood:
        await synced(writer)
        doc = y_py.YDoc(7)
        for n in range(int(BURST) // 10):
            await writer.send(protocol.update(text_update(f"{n}", doc)))
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                try:
                    for _ in range(100):
                        queries = (flood.ws.send(BytesMessage(b"\x03")) for _ in range(200))
                        await flood.stream.send_all(b"".join(queries))
                except (trio.BrokenResourceError, LocalProtocolError):
                    pass  # it is being closed

            nursery.start_soon(send)
            assert await flood.close_code() == closes.FLOODED
            nursery.cancel_scope.cancel()
        await writer.send_event(Ping())
        await synced_again(writer)


async def test_a_message_in_countless_fragments_is_a_flood(alice: Port) -> None:
    async with alice.visit() as client, trio.open_nursery() as nursery:

        async def send() -> None:
            nothing = b"\x00\x80mask"  # RFC 6455 §5.4: to be continued
            try:
                await client.stream.send_all(b"\x02\x80mask")
                for _ in range(100):
                    await client.stream.send_all(nothing * 200)
            except trio.BrokenResourceError:
                pass  # it is being closed

        nursery.start_soon(send)
        assert await client.close_code() == closes.FLOODED
        nursery.cancel_scope.cancel()


async def test_who_does_not_read_the_answers_is_not_read_from_until_it_does(alice: Port) -> None:
    async with alice.visit("/hocuspocus") as client:
        session = await only_session(alice)
        count = int(BURST) - 100
        question = hocuspocus.prefix("x" * 1000) + b"\x02\x00\x00"  # that is no document's name
        questions = b"".join(client.ws.send(BytesMessage(question)) for _ in range(count))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.stream.send_all, questions)
            while session.line.waiting_bytes <= UNREAD_BYTES:
                await trio.lowlevel.checkpoint()
            for _ in range(1000):
                await trio.lowlevel.checkpoint()
            assert session.line.waiting_bytes < UNREAD_BYTES + 100_000
            for _ in range(count):
                await client.receive()


async def test_a_client_speaks_for_itself_only(alice: Port) -> None:
    async with alice.visit() as one, alice.visit() as mallory:
        await synced(one)
        await synced(mallory)
        await one.send(present(7, 1, b'"one"'))
        assert await presence(mallory) == [Told(7, 1, b'"one"')]
        await mallory.send(protocol.presence(states.encode([Told(7, 9, b'"mallory"'), Told(8, 1, b'"mallory"')])))
        assert await presence(one) == [Told(8, 1, b'"mallory"')]


# Life and death -----------------------------------------------------------------------------------------------


async def test_a_quiet_client_hears_something_that_changes_nothing(alice: Port) -> None:
    async with alice.visit() as client:
        assert await client.said() == Step1(b"\x00")
        now = trio.current_time()
        session = await only_session(alice)
        session.tick(now, 0)
        session.tick(now + QUIET - 1, 0)
        session.tick(now + QUIET + 1, 0)
        assert await client.receive() == protocol.SIGN_OF_LIFE


async def test_a_client_that_is_not_read_from_hears_something_too(alice: Port) -> None:
    async with alice.visit() as client:
        await client.receive()
        session = await only_session(alice)
        session.tick(trio.current_time(), 0)
        session._is_reading = False  # the engine is busy
        session.tick(trio.current_time() + QUIET + 1, 0)
        assert await client.receive() == protocol.SIGN_OF_LIFE
        session.tick(trio.current_time() + DEAD_AFTER + 1, 0)
        assert session.closing is None


async def test_a_silent_client_is_asked_and_then_given_up(alice: Port) -> None:
    async with alice.visit() as client:
        now = trio.current_time()
        session = await only_session(alice)
        session.tick(now, 0)
        session.tick(now + PING_INTERVAL + 1, 0)
        await client.receive()
        await client.receive()
        assert client.pings == 1
        session.tick(now + DEAD_AFTER + 1, 0)
        await client.close_code()
    while alice.reception.clients:
        await trio.lowlevel.checkpoint()


async def test_a_client_that_closes_is_answered(alice: Port) -> None:
    async with alice.visit() as client:
        await client.send_event(CloseConnection(1000, "done"))
        assert await client.close_code() == (1000, "done")


async def test_when_the_node_stops_clients_are_sent_elsewhere(replica: Replica) -> None:
    async with trio.open_nursery() as nursery:
        opened = trio.Event()
        client: list[WsClient] = []

        async def visit(alice: Port) -> None:
            async with alice.visit() as one:
                client.append(one)
                opened.set()
                assert await one.close_code() == closes.GOING_AWAY

        async with port(replica) as alice:
            nursery.start_soon(visit, alice)
            await opened.wait()


async def test_who_is_seen_off_is_sent_elsewhere_and_nobody_else_let_in(alice: Port) -> None:
    async with alice.visit() as client:
        await only_session(alice)
        alice.replica.drain.closing.set()
        assert await client.close_code() == closes.GOING_AWAY
        async with alice.visit() as late:
            assert late.reply is not None
            assert late.reply.status == 503


# Hocuspocus ---------------------------------------------------------------------------------------------------


async def test_a_hocuspocus_client_shows_a_token_for_each_document(replica: Replica) -> None:
    async with port(replica, loopback=False) as alice, alice.visit("/hocuspocus") as client:

        async def ask(name: str, shown: str) -> bytes:
            prefix = hocuspocus.prefix(name)
            await client.send(prefix + bytes((2, 0, len(shown) & 0x7F | 0x80, len(shown) >> 7)) + shown.encode())
            answer = await client.receive()
            assert answer.startswith(prefix)
            return answer[len(prefix) :]

        reader = token(may_write=False)
        assert await ask("notes/a", token()) == hocuspocus.authenticated(may_write=True)
        assert (await client.receive()).endswith(protocol.step_1(b"\x00"))
        assert (await ask("other/a", token()))[:2] == b"\x02\x01"
        assert await ask("notes/b", reader) == hocuspocus.authenticated(may_write=False)


async def test_who_has_shown_no_token_sends_no_large_messages(replica: Replica) -> None:
    async with port(replica, loopback=False) as alice, alice.visit("/hocuspocus") as client:
        await client.send(hocuspocus.prefix("notes/a") + protocol.update(bytes(MAX_GREETING_BYTES)))
        assert await client.close_code() == closes.too_long(MAX_GREETING_BYTES)


async def test_who_asks_for_no_document_in_time_is_sent_away(alice: Port) -> None:
    async with alice.visit("/hocuspocus") as client:
        session = await only_session(alice)
        session.tick(trio.current_time(), time.time() + 20)
        assert session.closing is None
        session.tick(trio.current_time(), time.time() + 31)
        assert await client.close_code() == closes.NO_DOCUMENT


async def test_an_update_is_confirmed_when_it_is_on_the_disk_and_not_before(replica: Replica) -> None:
    async with port(replica) as alice, alice.visit("/hocuspocus/notes") as client:
        prefix = hocuspocus.prefix("a")
        await client.send(prefix + b"\x02\x00\x00")
        assert await client.receive() == prefix + hocuspocus.authenticated(may_write=True)
        assert await client.receive() == prefix + protocol.step_1(b"\x00")
        await client.send(prefix + protocol.update(text_update("x")))
        assert await client.receive() == prefix + hocuspocus.sync_status(is_stored=True)
        assert replica.store.durable_seq == replica.store.last_seq
        assert (await replica.library.read(NOTES)).roots == {"t": "x"}
        await replica.library.delete(NOTES, if_match=None)
        assert (await client.receive())[len(prefix)] == hocuspocus.CLOSE
        await client.send(prefix + b"\x02\x00\x00")  # the connection is there for others, and for a new beginning
        assert await client.receive() == prefix + hocuspocus.authenticated(may_write=True)


async def synced_again(client: WsClient) -> None:
    await client.send(protocol.step_1(b"\x00"))
    said = await client.said()
    while not (isinstance(said, Update) and said.is_step_2):
        said = await client.said()
