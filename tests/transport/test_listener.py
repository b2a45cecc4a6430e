"""Listening on real sockets: the addresses that are bound, and strangers that crowd the door."""

import errno
import resource
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from fakes.links import OTHER_SECRET, Inbox, credentials, hello
from structlog.testing import capture_logs
from trio.testing import MockClock

from peatd.errors import ConfigError, HandshakeError
from peatd.names import Address
from peatd.transport import Credentials, Link, LinkEnd, converse, dial, listen
from peatd.transport.admission import MAX_HANDSHAKES_PER_HOST, PATIENCE
from peatd.transport.binding import bind_sockets, peer_address
from peatd.wire.messages import Hello, Tombstone

LOOPBACK = Address("127.0.0.1", 0)


def present() -> tuple[Credentials, Hello]:
    return credentials("bob"), hello("bob")


class Bob:
    """A node that listens, and keeps its links."""

    def __init__(self) -> None:
        self.addresses: list[Address] = []
        self.links: list[Link] = []
        self.inbox = Inbox()

    async def welcome(self, link: Link) -> None:
        self.links.append(link)
        await converse(link, self.inbox)


@asynccontextmanager
async def bob_listening(bind: Address = LOOPBACK) -> AsyncIterator[Bob]:
    bob = Bob()
    async with trio.open_nursery() as nursery:
        bob.addresses = await nursery.start(listen, bind, present, bob.welcome)
        yield bob
        nursery.cancel_scope.cancel()


async def dial_bob(bob: Bob) -> Link:
    return await dial(bob.addresses, credentials("alice"), hello("alice"))


async def until(is_so: Callable[[], bool]) -> None:
    """Waits for what other tasks do on real sockets."""
    with trio.fail_after(60):
        while not is_so():
            await trio.lowlevel.checkpoint()


async def test_port_zero_reports_the_port_that_was_taken() -> None:
    async with bob_listening() as bob:
        [address] = bob.addresses
        assert address.host == "127.0.0.1"
        assert address.port > 0


async def test_a_link_over_loopback() -> None:
    async with bob_listening() as bob:
        link = await dial_bob(bob)
        inbox = Inbox()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(converse, link, inbox)
            inbox.send(Tombstone("notes/a", 1))
            assert await bob.inbox.messages.receive() == Tombstone("notes/a", 1)
            assert bob.links[0].peer.node_id == "alice"
            assert bob.links[0].address.host == "127.0.0.1"
            nursery.cancel_scope.cancel()


async def test_any_ipv6_means_everybody() -> None:
    async with bob_listening(Address("::", 0)) as bob:
        [address] = bob.addresses
        for host in ("127.0.0.1", "::1"):
            link = await dial([Address(host, address.port)], credentials("alice"), hello("alice"))
            await link.stream.aclose()
        await until(lambda: len(bob.links) == 2)
        assert {link.address.host for link in bob.links} == {"127.0.0.1", "::1"}


async def test_one_ipv6_address_is_just_that() -> None:
    async with bob_listening(Address("::1", 0)) as bob:
        assert bob.addresses[0].host == "::1"
        link = await dial_bob(bob)
        await link.stream.aclose()


async def test_a_name_that_stands_for_several_addresses_has_one_port() -> None:
    listeners = await bind_sockets(Address("localhost", 0))
    try:
        assert len({peer_address(listener.socket.getsockname()).port for listener in listeners}) == 1
    finally:
        for listener in listeners:
            await listener.aclose()


async def test_without_ipv6_any_means_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = trio.socket.socket

    def no_ipv6(family: int, kind: int) -> trio.socket.SocketType:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return genuine(family, kind)

    monkeypatch.setattr(trio.socket, "socket", no_ipv6)
    [listener] = await bind_sockets(Address("::", 0))
    assert listener.socket.getsockname()[0] == "0.0.0.0"
    await listener.aclose()


@pytest.mark.parametrize("host", ["192.0.2.77", "no-such-host.invalid"])
async def test_an_address_that_is_not_ours_is_a_config_error(host: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot listen on {host}:11204"):
        await bind_sockets(Address(host, 11204))


async def test_a_port_that_is_taken_is_a_config_error() -> None:
    async with bob_listening() as bob:
        with pytest.raises(ConfigError, match="in use"):
            await bind_sockets(bob.addresses[0])


async def test_two_hundred_silent_connections_disturb_no_link() -> None:
    with capture_logs() as logs:
        async with bob_listening() as bob, trio.open_nursery() as nursery:
            link, inbox = await dial_bob(bob), Inbox()
            nursery.start_soon(converse, link, inbox)
            [address] = bob.addresses
            silent = [await trio.open_tcp_stream(address.host, address.port) for _ in range(200)]
            closed = 0

            async def count_if_closed(stream: trio.SocketStream) -> None:
                nonlocal closed
                assert await stream.receive_some(1) == b""
                closed += 1

            async with trio.open_nursery() as watching:
                for stream in silent:
                    watching.start_soon(count_if_closed, stream)
                await until(lambda: closed == 200 - MAX_HANDSHAKES_PER_HOST)
                inbox.send(Tombstone("notes/a", 1))
                assert await bob.inbox.messages.receive() == Tombstone("notes/a", 1)
                watching.cancel_scope.cancel()
            for stream in silent:
                await stream.aclose()
            # The door is free again.
            await until(lambda: any(line.get("code") == "closed" for line in logs))
            await (await dial_bob(bob)).stream.aclose()
            nursery.cancel_scope.cancel()
    said = sorted((line.get("limit") or line["code"], line["repeated"]) for line in logs)
    assert said == [("closed", 0), ("mesh_handshakes", 0)]


async def test_silent_connections_make_room_for_a_node_at_their_address(mock_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with bob_listening() as bob:
            [address] = bob.addresses
            silent = [await trio.open_tcp_stream(address.host, address.port) for _ in range(MAX_HANDSHAKES_PER_HOST)]
            with pytest.raises(HandshakeError):
                await dial_bob(bob)
            mock_clock.jump(PATIENCE)
            await (await dial_bob(bob)).stream.aclose()
            assert await silent[0].receive_some(1) == b""
            for stream in silent:
                await stream.aclose()
            await until(lambda: len(logs) == 3)
    assert [line.get("limit") or line["code"] for line in logs] == ["mesh_handshakes", "slow", "closed"]


async def test_a_refused_stranger_is_one_line_and_no_more() -> None:
    with capture_logs() as logs:
        async with bob_listening() as bob:
            for _ in range(3):
                with pytest.raises(HandshakeError):
                    await dial(bob.addresses, credentials("eve", OTHER_SECRET), hello("eve"))
            await until(lambda: bool(logs))
            assert bob.links == []
    [line] = logs
    assert line["event"] == "handshake failed"
    assert line["log_level"] == "warning"
    assert line["host"] == "127.0.0.1"
    assert line["code"] == "refused"


@pytest.mark.parametrize("junk", [b"GET /api/v1/health HTTP/1.1\r\nHost: peat\r\n\r\n", bytes(5000)])
async def test_junk_is_answered_with_a_close(junk: bytes) -> None:
    with capture_logs():
        async with bob_listening() as bob:
            [address] = bob.addresses
            stream = await trio.open_tcp_stream(address.host, address.port)
            await stream.send_all(junk)
            with trio.fail_after(60):
                try:
                    while await stream.receive_some():
                        pass
                except trio.BrokenResourceError:
                    pass
            await stream.aclose()
            await (await dial_bob(bob)).stream.aclose()


async def test_without_descriptors_it_waits_and_goes_on() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with capture_logs() as logs:
        async with bob_listening() as bob:
            [address] = bob.addresses
            dialling = socket.socket()
            dialling.setblocking(False)
            lowest_free = dialling.fileno() + 1
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
                dialling.connect_ex((address.host, address.port))
                await until(lambda: any(line.get("limit") == "file_descriptors" for line in logs))
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                dialling.close()
            await (await dial_bob(bob)).stream.aclose()


async def test_cancelled_it_says_goaway_on_its_links() -> None:
    ends: list[LinkEnd] = []

    async with trio.open_nursery() as nursery, bob_listening() as bob:
        link = await dial_bob(bob)

        async def run() -> None:
            ends.append(await converse(link, Inbox()))

        nursery.start_soon(run)
        await until(lambda: bool(bob.links))
    assert ends == [LinkEnd("shutdown", "the node is going away", by_peer=True)]


async def test_a_link_whose_owner_never_ran_it_is_closed() -> None:
    async def look_away(_link: Link) -> None:
        return

    async with trio.open_nursery() as nursery:
        addresses = await nursery.start(listen, LOOPBACK, present, look_away)
        link = await dial(addresses, credentials("alice"), hello("alice"))
        assert (await converse(link, Inbox())).code in {"cut", "eof"}
        nursery.cancel_scope.cancel()
