"""What every source of peers keeps, whichever it is."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import trio
import trio.testing
from fakes.apiserver import FakeApiServer
from fakes.endpointslices import endpoint_slice, pod
from fakes.lan import FakeLan, Switch, interface, ourselves
from fakes.running import running
from kubernetes.client import ApiClient, Configuration

from peatd.discovery import (
    DiscoveryError,
    DiscoveryStrategy,
    EventStreamConsumed,
    HybridDiscovery,
    KubernetesDiscovery,
    KubernetesDiscoveryConfig,
    PeerFound,
    PeerInfo,
    StaticDiscovery,
    StaticPeer,
)
from peatd.discovery.dnssd import Notice, notice_packet
from peatd.discovery.interfaces import Interface
from peatd.discovery.mdns import MdnsDiscovery
from peatd.discovery.multicast import Seat
from peatd.discovery.notice_proof import prove
from peatd.names import Address, NodeId

ADDRESS = Address("10.0.0.1", 11204)
ALICE = PeerInfo(NodeId("alice"), (ADDRESS,))


def static(_: FakeApiServer) -> DiscoveryStrategy:
    return StaticDiscovery([StaticPeer("alice", ADDRESS)])


def kubernetes(server: FakeApiServer) -> DiscoveryStrategy:
    client = ApiClient(Configuration(host=server.url))
    return KubernetesDiscovery.with_client(KubernetesDiscoveryConfig(namespace="peat"), client)


def hybrid(server: FakeApiServer) -> DiscoveryStrategy:
    return HybridDiscovery([kubernetes(server), static(server)])


class _HearsAlice(FakeLan):
    """A machine on whose LAN alice answers whatever she hears."""

    @contextmanager
    def join(self, interface: Interface, version: int) -> Iterator[Seat]:
        with super().join(interface, version) as seat:
            self._switch.carry(notice_packet(_alice(), 25))
            yield seat


def _alice() -> Notice:
    ours = ourselves("alice")
    notice = Notice("alice", ours.node_id, ours.device_id, ours.bound.port, ours.hashes, ("10.0.0.1",))
    return prove(notice, ours.keys)


def mdns(_: FakeApiServer) -> DiscoveryStrategy:
    return MdnsDiscovery(lambda: ourselves("bob"), _HearsAlice(Switch(), [interface("10.0.0.2/24")]))


@pytest.fixture(params=[static, kubernetes, mdns, hybrid])
def strategy(request: pytest.FixtureRequest, server: FakeApiServer) -> DiscoveryStrategy:
    server.put(endpoint_slice("mesh", pod("alice", "10.0.0.1")))
    make: Callable[[FakeApiServer], DiscoveryStrategy] = request.param
    return make(server)


async def test_before_it_is_started_it_knows_nobody_and_is_not_ready(strategy: DiscoveryStrategy) -> None:
    assert list(strategy.discovered_peers()) == []
    assert not strategy.status().ready
    assert strategy.status().message


async def test_who_is_there_is_found_and_known_and_it_is_ready(strategy: DiscoveryStrategy) -> None:
    async with running(strategy) as events:
        assert await events.receive() == PeerFound(ALICE)
        assert list(strategy.discovered_peers()) == [ALICE]
        while not strategy.status().ready:  # a hybrid waits for the last of its sources
            await trio.testing.wait_all_tasks_blocked(0.001)
        assert strategy.status().message is None


async def test_its_source_has_a_name(strategy: DiscoveryStrategy) -> None:
    assert strategy.source in ("static", "kubernetes", "mdns", "hybrid")


async def test_its_events_are_for_one(strategy: DiscoveryStrategy) -> None:
    strategy.event_stream()
    with pytest.raises(EventStreamConsumed):
        strategy.event_stream()


async def test_a_stream_taken_late_has_all_events(strategy: DiscoveryStrategy) -> None:
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            await nursery.start(strategy.start)
            while not strategy.discovered_peers():
                await trio.testing.wait_all_tasks_blocked(0.001)
            assert await strategy.event_stream().receive() == PeerFound(ALICE)
            nursery.cancel_scope.cancel()


async def test_stop_ends_it_and_its_events_and_leaves_what_it_knew(strategy: DiscoveryStrategy) -> None:
    events = strategy.event_stream()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            await nursery.start(strategy.start)
            assert await events.receive() == PeerFound(ALICE)
            strategy.stop()
            strategy.stop()
            with pytest.raises(trio.EndOfChannel):
                await events.receive()
    assert list(strategy.discovered_peers()) == [ALICE]


async def test_a_cancel_ends_it_and_its_events(strategy: DiscoveryStrategy) -> None:
    events = strategy.event_stream()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            await nursery.start(strategy.start)
            assert await events.receive() == PeerFound(ALICE)
            nursery.cancel_scope.cancel()
        with pytest.raises(trio.EndOfChannel):
            await events.receive()


async def test_a_cancel_while_it_starts_ends_it(strategy: DiscoveryStrategy) -> None:
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(strategy.start)
            nursery.cancel_scope.cancel()


async def test_a_stop_before_the_start_is_nothing(strategy: DiscoveryStrategy) -> None:
    strategy.stop()
    async with running(strategy) as events:
        assert await events.receive() == PeerFound(ALICE)


async def test_a_stop_while_it_starts_ends_it_in_order(strategy: DiscoveryStrategy) -> None:
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:

            async def stop() -> None:
                strategy.stop()

            nursery.start_soon(stop)
            await nursery.start(strategy.start)
            strategy.stop()


async def test_it_starts_once(strategy: DiscoveryStrategy) -> None:
    async with running(strategy):
        pass
    with pytest.raises(DiscoveryError):
        await strategy.start()


def test_importing_discovery_imports_what_only_some_sources_need_no_sooner_than_they() -> None:
    unwanted = {"kubernetes", "urllib3", "zeroconf", "ifaddr"}
    program = f"import sys, peatd.discovery, peatd.node; sys.exit(not {unwanted}.isdisjoint(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
