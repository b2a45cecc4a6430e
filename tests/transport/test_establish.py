"""From a stream to a link, with real TLS: honest nodes, HELLO, and what a node in the middle cannot do."""

import contextlib
from collections.abc import Awaitable, Callable

import pytest
import trio
from fakes.links import OTHER_SECRET, credentials, hello, instance_of
from fakes.meeting import ADDRESS, meet, meets
from trio.testing import memory_stream_pair

from peatd.errors import Declined, HandshakeError
from peatd.transport import Link, initiate, receive
from peatd.transport.tls_stream import TlsStream
from peatd.wire import handshake
from peatd.wire.connection import Connection, frame
from peatd.wire.messages import Goaway, Hello, Ping, Tombstone


async def test_two_nodes_of_a_formation_link() -> None:
    alice, bob = await meet(credentials("alice"), credentials("bob"))
    assert isinstance(alice, Link)
    assert isinstance(bob, Link)
    assert alice.peer.node_id == "bob"
    assert alice.peer.device_id == credentials("bob").keypair.device_id
    assert alice.peer.public_key == credentials("bob").keypair.public_key
    assert alice.peer.instance == instance_of("bob")
    assert alice.peer.initiating
    assert bob.peer.node_id == "alice"
    assert bob.peer.device_id == credentials("alice").keypair.device_id
    assert not bob.peer.initiating


async def test_a_node_with_our_own_key_may_link_too() -> None:
    """It may be a twin or ourselves: whoever has the instances at hand decides."""
    alice, bob = await meet(credentials("alice"), credentials("alice"), bob_hello=hello("alice"))
    assert isinstance(alice, Link)
    assert isinstance(bob, Link)
    assert alice.peer.device_id == bob.peer.device_id


class _Trickle(trio.abc.Stream):
    """A stream that gives one byte at a time."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(min(max_bytes or 1, 1))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


async def test_it_may_come_byte_by_byte() -> None:
    ours, theirs = memory_stream_pair()
    alice, bob = await meet(credentials("alice"), credentials("bob"), streams=(_Trickle(ours), _Trickle(theirs)))
    assert isinstance(alice, Link)
    assert isinstance(bob, Link)


async def test_other_formations_refuse_each_other() -> None:
    alice, bob = await meet(credentials("alice"), credentials("bob", OTHER_SECRET))
    assert isinstance(alice, HandshakeError)
    assert isinstance(bob, HandshakeError)
    assert alice.code == "not-our-formation"
    assert bob.code == "refused"
    assert "are the formation secret and --formation the same" in str(alice)


async def test_the_same_secret_under_another_name_is_another_formation() -> None:
    alice, bob = await meet(credentials("alice"), credentials("bob", formation="other"))
    assert isinstance(alice, HandshakeError)
    assert isinstance(bob, HandshakeError)


async def test_a_stranger_between_two_nodes_can_carry_bytes_and_no_more() -> None:
    """What a relay does: it sees and changes nothing, and the ends prove themselves to each other."""
    ours, near = memory_stream_pair()
    far, theirs = memory_stream_pair()

    async def carry(source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
        while received := await source.receive_some():
            await sink.send_all(received)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(carry, near, far)
        nursery.start_soon(carry, far, near)
        alice, bob = await meet(credentials("alice"), credentials("bob"), streams=(ours, theirs))
        nursery.cancel_scope.cancel()
    assert isinstance(alice, Link)
    assert isinstance(bob, Link)
    assert alice.peer.device_id == credentials("bob").keypair.device_id


async def test_a_member_between_two_nodes_cannot_pass_for_one_of_them() -> None:
    """Mallory terminates TLS on both sides with her own leaf, and carries the proof across."""
    ours, near = memory_stream_pair()
    far, theirs = memory_stream_pair()

    async def carry(source: TlsStream, sink: TlsStream) -> None:
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while received := await source.receive_some():
                await sink.send_all(received)
        await trio.aclose_forcefully(sink)

    async def sit_between() -> None:
        towards_alice = TlsStream(near, credentials("mallory").receiving_context, server_side=True)
        towards_bob = TlsStream(far, credentials("mallory").initiating_contexts[0], server_side=False)
        await towards_alice.handshake()
        await towards_bob.handshake()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(carry, towards_alice, towards_bob)
            nursery.start_soon(carry, towards_bob, towards_alice)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sit_between)
        alice, bob = await meet(credentials("alice"), credentials("bob"), streams=(ours, theirs))
        nursery.cancel_scope.cancel()
    assert isinstance(alice, HandshakeError)
    assert alice.code == "proof"
    assert isinstance(bob, HandshakeError)


@pytest.mark.parametrize(
    ("theirs", "told"),
    [
        (hello("bob", protocol=2), "protocol 2"),
        (hello("bob", formation="other"), "another formation"),
        (Hello(1, "bob", "peat", instance_of("bob"), 1024, "0.1.0"), "1024 bytes"),
    ],
)
async def test_a_hello_that_does_not_fit_is_refused_with_a_reason(theirs: Hello, told: str) -> None:
    alice, _ = await meet(credentials("alice"), credentials("bob"), bob_hello=theirs)
    assert isinstance(alice, HandshakeError)
    assert alice.code == "unsupported"
    assert told in str(alice)


async def test_the_other_side_hears_what_does_not_fit() -> None:
    heard = bytearray()

    async def listen_for_goaway(tls: TlsStream) -> None:
        await prove(tls, "bob", "alice")
        await tls.send_all(frame([hello("bob", protocol=2)]))
        while received := await tls.receive_some():
            heard.extend(received)

    alice = await said_by_bob(listen_for_goaway)
    assert alice.code == "unsupported"
    (goaway,) = Connection().receive(heard)
    assert goaway == Goaway("unsupported", str(alice))


async def test_whoever_dialled_may_decline_before_there_is_a_link() -> None:
    ours, theirs = memory_stream_pair()
    refused: list[HandshakeError] = []

    async def bob() -> None:
        with pytest.raises(HandshakeError) as caught:
            await receive(theirs, credentials("bob"), hello("bob"), ADDRESS)
        refused.append(caught.value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(bob)
        with pytest.raises(Declined, match="bob: no, thanks") as caught:
            await initiate(ours, credentials("alice"), hello("alice"), ADDRESS, declines=lambda _: "no, thanks")
    assert caught.value.device_id == credentials("bob").keypair.device_id
    assert [error.code for error in refused] == ["declined"]


async def test_messages_right_behind_hello_are_kept() -> None:
    ours, theirs = memory_stream_pair()

    async def bob() -> None:
        tls = TlsStream(theirs, credentials("bob").receiving_context, server_side=True)
        await tls.handshake()
        await prove(tls, "bob", "alice")
        await tls.send_all(frame([hello("bob"), Tombstone("notes/a", 1), Ping(1)])[:-3])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(bob)
        link = await initiate(ours, credentials("alice"), hello("alice"), ADDRESS)
    assert link.early == (Tombstone("notes/a", 1),)
    assert link.connection.receive(frame([Ping(1)])[-3:]) == [Ping(1)]


async def test_a_goaway_instead_of_a_hello_is_the_reason() -> None:
    assert await said_instead_of_hello(frame([Goaway("duplicate-node-id", "bob is here already")])) == (
        "duplicate-node-id",
        "the peer ended the link (duplicate-node-id): bob is here already",
    )


@pytest.mark.parametrize("said", [bytes(frame([Ping(1)])), b"\xff\xff\xff\xff", b"\x00\x00\x00\x01\xc0"])
async def test_anything_else_instead_of_a_hello_is_not_peat(said: bytes) -> None:
    code, _ = await said_instead_of_hello(said)
    assert code == "not-peat"


async def said_instead_of_hello(said: bytes | bytearray) -> tuple[str, str]:
    """What alice makes of a member that proves itself and then says this."""

    async def say(tls: TlsStream) -> None:
        await prove(tls, "bob", "alice")
        await tls.send_all(said)
        await tls.receive_some()

    alice = await said_by_bob(say)
    return alice.code, str(alice)


async def said_by_bob(say: Callable[[TlsStream], Awaitable[None]]) -> HandshakeError:
    async def bob(stream: trio.abc.Stream) -> None:
        tls = TlsStream(stream, credentials("bob").receiving_context, server_side=True)
        await tls.handshake()
        with contextlib.suppress(trio.BrokenResourceError):
            await say(tls)

    return await meets(bob)


async def prove(tls: TlsStream, receiver: str, initiator: str) -> None:
    """An honest receiver's side of the proof."""
    ours, theirs = credentials(receiver), credentials(initiator)
    parties = handshake.Parties("peat", theirs.keypair.device_id, ours.keypair.device_id)
    end = handshake.Receiver(parties, ours.formation.proof_key(0), bytes(32))
    while end.wants:
        await tls.send_all(end.receive(await tls.receive_some(end.wants)))
