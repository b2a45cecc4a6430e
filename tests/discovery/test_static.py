import pytest
import trio
import trio.testing
from fakes.names import FakeNames
from fakes.running import Events, running

from peatd.discovery.events import DiscoveryStatus, PeerFound, PeerInfo, PeerUpdated
from peatd.discovery.static import StaticDiscovery
from peatd.names import Address, NodeId, StaticPeer

PRETEND = 1000
"""Seconds, of a clock that jumps ahead whenever everybody waits."""

MESH = Address("mesh.example", 11204)


@pytest.fixture
def names() -> FakeNames:
    """In place of the DNS, for the run that the test itself is."""
    return FakeNames({})


def peer(name: str, *addresses: Address, relay_url: str | None = None) -> PeerInfo:
    return PeerInfo(NodeId(name), addresses, relay_url)


async def becomes(events: Events, expected: PeerInfo) -> None:
    """What is announced comes to this. (A name that resolves at once may never be announced as itself.)"""
    while True:
        event = await events.receive()
        assert isinstance(event, PeerFound | PeerUpdated)
        if event.peer == expected:
            return


async def test_peers_by_ip_are_known_at_once_and_looked_up_never(names: FakeNames) -> None:
    trio.socket.set_custom_hostname_resolver(names)
    four, six = Address("10.0.0.1", 1), Address("fd00::1", 2)
    discovery = StaticDiscovery([StaticPeer("alice", four, "https://relay"), StaticPeer(None, six)])
    async with running(discovery) as events:
        assert discovery.status() == DiscoveryStatus(True)
        assert await events.receive() == PeerFound(peer("alice", four, relay_url="https://relay"))
        assert await events.receive() == PeerFound(peer("[fd00::1]:2", six))
    assert names.asked == []


async def test_entries_of_one_name_are_one_peer() -> None:
    one, two = Address("10.0.0.1", 1), Address("10.0.0.2", 2)
    discovery = StaticDiscovery(
        [StaticPeer("alice", one), StaticPeer("alice", two, "r"), StaticPeer("alice", one, "s")]
    )
    async with running(discovery):
        assert discovery.discovered_peers() == (peer("alice", one, two, relay_url="r"),)


async def test_without_entries_it_is_ready_and_finds_nobody() -> None:
    discovery = StaticDiscovery([])
    async with running(discovery):
        assert discovery.status().ready
        assert discovery.discovered_peers() == ()


async def test_a_name_stands_for_itself_until_it_resolves(names: FakeNames, autojump_clock: trio.abc.Clock) -> None:
    trio.socket.set_custom_hostname_resolver(names)
    discovery = StaticDiscovery([StaticPeer(None, MESH)])
    async with running(discovery, PRETEND) as events:
        assert await events.receive() == PeerFound(peer("mesh.example:11204", MESH))
        await trio.testing.wait_all_tasks_blocked()
        assert discovery.status().ready
        assert "mesh.example does not resolve: " in (discovery.status().message or "")
        names.ips = {"mesh.example": ["10.0.0.2", "10.0.0.1", "fd00::1"]}
        ips = [Address(ip, 11204) for ip in ("10.0.0.1", "10.0.0.2", "fd00::1")]
        assert await events.receive() == PeerUpdated(peer("mesh.example:11204", *ips))
        assert discovery.status() == DiscoveryStatus(True)


async def test_what_a_name_stands_for_is_followed(names: FakeNames, autojump_clock: trio.abc.Clock) -> None:
    trio.socket.set_custom_hostname_resolver(names)
    names.ips = {"mesh.example": ["10.0.0.1", "10.0.0.2"]}
    discovery = StaticDiscovery([StaticPeer("alice", MESH)], poll_interval=100)
    async with running(discovery, PRETEND) as events:
        await becomes(events, peer("alice", Address("10.0.0.1", 11204), Address("10.0.0.2", 11204)))
        names.ips = {"mesh.example": ["10.0.0.2", "10.0.0.1"]}  # no change: servers rotate their answers
        began = trio.current_time()
        await trio.sleep(250)  # of the pretend clock
        names.ips = {"mesh.example": ["10.0.0.3"]}
        assert await events.receive() == PeerUpdated(peer("alice", Address("10.0.0.3", 11204)))
        assert 250 <= trio.current_time() - began <= 370
    assert 4 <= len(names.asked) <= 5


async def test_what_a_name_stood_for_stays_while_it_does_not_resolve(
    names: FakeNames, autojump_clock: trio.abc.Clock
) -> None:
    trio.socket.set_custom_hostname_resolver(names)
    names.ips = {"mesh.example": ["10.0.0.1"]}
    async with running(StaticDiscovery([StaticPeer("alice", MESH)]), PRETEND) as events:
        await becomes(events, peer("alice", Address("10.0.0.1", 11204)))
        names.ips = {}
        assert await events.receive() == PeerUpdated(peer("alice", Address("10.0.0.1", 11204), MESH))


async def test_a_dns_that_does_not_answer_fails_that_name_only(
    names: FakeNames, autojump_clock: trio.abc.Clock
) -> None:
    trio.socket.set_custom_hostname_resolver(names)
    silent = [StaticPeer(None, Address(f"silent-{n}.example", 1)) for n in range(10)]
    names.ips = {one.address.host: [] for one in silent} | {"mesh.example": ["10.0.0.1"]}
    discovery = StaticDiscovery([*silent, StaticPeer("alice", MESH)])
    async with running(discovery, PRETEND) as events:
        await becomes(events, peer("alice", Address("10.0.0.1", 11204)))
        await trio.sleep(60)  # of the pretend clock: four at once, ten seconds each
        assert "silent-0.example does not resolve: no answer within 10 s" in (discovery.status().message or "")


async def test_a_name_that_is_none_does_not_resolve() -> None:
    discovery = StaticDiscovery([StaticPeer(None, Address("x" * 70, 1))])
    async with running(discovery) as events:
        assert await events.receive() == PeerFound(peer(f"{'x' * 70}:1", Address("x" * 70, 1)))
        while discovery.status().message is None:
            await trio.testing.wait_all_tasks_blocked(0.01)
