"""How a peer is reached: directly, else by a relay; and relays that are none, or lie."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing
from fakes.links import OTHER_SECRET, SECRET, credentials, hello, peer
from fakes.ports import free_port
from fakes.relays import RunningRelay, answering, asker, device_of, relay_running, until

from peatd.discovery.events import PeerInfo
from peatd.errors import Declined, PeerError, Unreachable
from peatd.names import Address, NodeId
from peatd.peers import Sighting
from peatd.relay import registration, ways
from peatd.relay.asking import Asker
from peatd.relay.protocol import OPENING, REGISTER, Accepted, Challenge, Frames, Request, Signer, frame
from peatd.relay.registration import BACKING_OFF, REGISTERED, Registrations
from peatd.relay.ways import Ways
from peatd.relay_url import RelayUrl
from peatd.transport import Credentials, Link, LinkPeer
from peatd.wire.messages import Hello

AT_BOB = Address("192.0.2.1", 11204)


def present(node_id: str, *secrets: bytes) -> Callable[[], tuple[Credentials, Hello]]:
    shown = credentials(node_id, *secrets), hello(node_id)
    return lambda: shown


@dataclass
class Node:
    """Bob: registered at relays, and holds the links that come."""

    registrations: Registrations
    links: list[Link] = field(default_factory=list)

    @property
    def is_registered(self) -> bool:
        return all(standing.state == REGISTERED for standing in self.registrations.standings())


@asynccontextmanager
async def registered(name: str, *urls: RelayUrl, wait: bool = True) -> AsyncIterator[Node]:
    async def on_link(link: Link) -> None:
        node.links.append(link)
        await trio.sleep_forever()

    node = Node(Registrations(urls, lambda: asker(name), present(name), on_link))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.registrations.run)
        if wait:
            await until(lambda: node.is_registered)
        yield node
        nursery.cancel_scope.cancel()


async def no_way(addresses: Sequence[Address]) -> Link:
    await trio.lowlevel.checkpoint()
    raise Unreachable(f"{addresses[0]}: connection refused", code="refused")


def alice(*urls: RelayUrl, direct: ways.Direct = no_way) -> Ways:
    return Ways(urls, lambda: asker("alice"), present("alice"), direct)


def bob(relay_url: str | None = None, name: str = "bob") -> Sighting:
    return Sighting(PeerInfo(NodeId(name), (AT_BOB,), relay_url), lambda: ("static",))


@asynccontextmanager
async def linked(link: Link) -> AsyncIterator[Link]:
    try:
        yield link
    finally:
        await trio.aclose_forcefully(link.stream)


async def fails(reached: Awaitable[Link]) -> str:
    with pytest.raises(PeerError) as caught:
        await reached
    return str(caught.value)


async def test_who_cannot_be_reached_directly_is_reached_by_our_relay() -> None:
    async with (
        relay_running() as relay,
        registered("bob", relay.url()) as there,
        linked(await alice(relay.url()).link(bob())) as link,
    ):
        assert (link.peer.device_id, link.peer.via) == (device_of("bob"), relay.url().text)
        await until(lambda: there.links)
        assert (there.links[0].peer.device_id, there.links[0].peer.via) == (device_of("alice"), relay.url().text)


async def test_by_the_relay_that_discovery_names() -> None:
    async with (
        relay_running() as relay,
        registered("bob", relay.url()),
        linked(await alice().link(bob(relay.url().text))) as link,
    ):
        assert link.peer.via == relay.url().text


async def test_without_a_relay_the_reason_is_that_of_the_direct_dial() -> None:
    assert await fails(alice().link(bob())) == "192.0.2.1:11204: connection refused"


async def test_no_relay_is_asked_while_there_is_a_direct_way() -> None:
    async def direct(_addresses: Sequence[Address]) -> Link:
        ours, _ = trio.testing.memory_stream_pair()
        return Link(ours, peer("bob", initiating=True), AT_BOB)

    async with relay_running() as relay:
        async with linked(await alice(relay.url(), direct=direct).link(bob())) as link:
            assert link.peer.via is None
        assert relay.reception.requests["dial"] == 0


async def test_who_is_found_directly_to_be_linked_already_is_not_asked_for_at_a_relay() -> None:
    async def finds_carol(_addresses: Sequence[Address]) -> Link:
        await trio.lowlevel.checkpoint()
        raise Declined("carol: we are linked already", "declined", device_of("carol"))

    async with relay_running() as relay, registered("bob", relay.url()):
        with pytest.raises(Declined):
            await alice(relay.url(), direct=finds_carol).link(bob())
        assert relay.reception.requests["dial"] == 0


async def test_who_is_found_by_a_relay_to_be_linked_already_never_sees_a_link() -> None:
    async with relay_running() as relay, registered("bob", relay.url()) as there:
        url = relay.url()
        told: list[str | None] = []

        def declines(peer: LinkPeer) -> str | None:
            told.append(peer.via)
            return "we are linked already"

        it = Ways((url,), lambda: asker("alice"), present("alice"), no_way, declines)
        with pytest.raises(Declined):
            await it.link(bob())
        assert (told, there.links) == ([url.text], [])


async def test_a_direct_dial_that_hangs_does_not_keep_the_relay_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "HEAD_START", 0.05)

    async def hangs(_addresses: Sequence[Address]) -> Link:
        await trio.sleep_forever()
        raise AssertionError

    async with (
        relay_running() as relay,
        registered("bob", relay.url()),
        linked(await alice(relay.url(), direct=hangs).link(bob())) as link,
    ):
        assert link.peer.via == relay.url().text


async def test_who_is_registered_nowhere_is_not_reached_and_the_error_says_all() -> None:
    async with relay_running() as relay:
        told = await fails(alice(relay.url()).link(bob()))
        assert "192.0.2.1:11204: connection refused; " in told
        assert f"{relay.url()}: that node is not registered at this relay" in told


async def test_what_discovery_says_of_a_relay_need_not_be_a_url() -> None:
    assert "its relay_url is not a relay's URL" in await fails(alice().link(bob("gopher://x\n")))


async def test_of_two_relays_the_one_that_is_there_is_used() -> None:
    async with answering(trio.aclose_forcefully) as dead, relay_running() as relay, registered("bob", relay.url()):
        gone = RelayUrl.parse(f"tcp://{dead}")
        it = alice(gone, relay.url())
        for _ in range(2):
            async with linked(await it.link(bob())) as link:
                assert link.peer.via == relay.url().text


async def test_a_relay_that_hangs_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "STAGGER", 0.05)

    async def hangs(_stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with answering(hangs) as stalled, relay_running() as relay, registered("bob", relay.url()):
        link = await alice(RelayUrl.parse(f"tcp://{stalled}"), relay.url()).link(bob())
        async with linked(link):
            assert link.peer.via == relay.url().text


def lying_to(relay: RunningRelay, name: str) -> Callable[[trio.SocketStream], Awaitable[None]]:
    """A relay that connects whoever dials with another node than was asked for."""

    async def serve(stream: trio.SocketStream) -> None:
        frames = Frames()
        assert await stream.receive_some(len(OPENING)) == OPENING
        await stream.send_all(frame(Challenge(bytes(32))))
        while (message := frames.next()) is None:
            frames.receive(bytes(await stream.receive_some(2048)))
        assert isinstance(message, Request)
        inner = await asker("alice").dial(relay.url(), device_of(name))
        await stream.send_all(frame(Accepted()))
        async with trio.open_nursery() as nursery:
            for one, other in ((stream, inner), (inner, stream)):
                nursery.start_soon(pass_on, one, other)

    return serve


async def pass_on(one: trio.abc.Stream, other: trio.abc.Stream) -> None:
    try:
        while data := await one.receive_some():
            await other.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    await trio.aclose_forcefully(other)


async def test_a_relay_that_leads_to_another_node_is_found_out_and_another_is_asked() -> None:
    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(relay_running())
        await stack.enter_async_context(registered("mallory", relay.url()))
        liar = RelayUrl.parse(f"tcp://{await stack.enter_async_context(answering(lying_to(relay, 'mallory')))}")
        told = await fails(alice(liar).link(bob()))
        assert f"{liar}: it led to mallory ({device_of('mallory')}) instead of {device_of('bob')}" in told
        await stack.enter_async_context(registered("bob", relay.url()))
        async with linked(await alice(liar, relay.url()).link(bob())) as link:
            assert (link.peer.node_id, link.peer.via) == ("bob", relay.url().text)


async def test_a_relay_cannot_use_what_it_is_told_at_another_relay() -> None:
    """It passes on the challenge of the other, and the answer to it: that is not signed for the other."""
    outcome: list[str] = []

    async with relay_running() as relay:

        async def serve(stream: trio.SocketStream) -> None:
            inner = await trio.open_tcp_stream("127.0.0.1", relay.address.port)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pass_on, stream, inner)
                nursery.start_soon(pass_on, inner, stream)

        async with answering(serve) as at:
            between = RelayUrl.parse(f"tcp://localhost:{at.port}")
            outcome.append(await fails(asker("bob").register(between)))  # type: ignore[arg-type]
        assert relay.switchboard.registrations == 0
    assert "does not go by localhost" in outcome[0]


async def test_while_a_secret_is_rotated_a_peer_that_knows_only_the_old_one_is_reached() -> None:
    async with relay_running() as relay, registered("bob", relay.url()):
        signer = Signer(credentials("alice").keypair, asker("alice").signer.formation_keys)
        it = Ways(
            (relay.url(),),
            lambda: Asker(signer, asker("alice").outward),
            present("alice", OTHER_SECRET, SECRET),
            no_way,
        )
        async with linked(await it.link(bob())) as link:
            assert link.peer.node_id == "bob"


async def test_a_node_registers_again_when_its_relay_is_back() -> None:
    at = Address("127.0.0.1", free_port())
    url = RelayUrl.parse(f"tcp://{at}")
    async with registered("bob", url, wait=False) as there:
        (standing,) = there.registrations.standings()
        for _ in range(2):
            await until(lambda: standing.state == BACKING_OFF and standing.error is not None)
            async with relay_running(at=at):
                await until(lambda: there.is_registered)
                assert standing.error is None


async def test_what_keeps_a_node_from_registering_is_told() -> None:
    async def speaks_smtp(stream: trio.SocketStream) -> None:
        await stream.send_all(b"220 mail.example.org ESMTP\r\n")
        await stream.receive_some()

    async with answering(speaks_smtp) as at, registered("bob", RelayUrl.parse(f"tcp://{at}"), wait=False) as there:
        (standing,) = there.registrations.standings()
        await until(lambda: standing.state == BACKING_OFF)
        assert standing.error is not None
        assert "does not speak as a relay" in standing.error


async def test_a_relay_cannot_fill_a_node_with_circuits(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says again and again that somebody has dialled."""
    monkeypatch.setattr(registration, "MAX_HANDSHAKES", 4)
    accepts = 0

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal accepts
        frames = Frames()
        await stream.receive_some(len(OPENING))
        await stream.send_all(frame(Challenge(bytes(32))))
        while (message := frames.next()) is None:
            frames.receive(bytes(await stream.receive_some(2048)))
        assert isinstance(message, Request)
        if message.op != REGISTER:
            accepts += 1
            await trio.sleep_forever()
        await stream.send_all(frame(Accepted()) + frame(registration.Incoming("ab" * 32)) * 100)
        await trio.sleep_forever()

    async with answering(serve) as at, registered("bob", RelayUrl.parse(f"tcp://{at}")):
        await until(lambda: accepts == 4)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert accepts == 4
