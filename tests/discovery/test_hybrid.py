from collections.abc import Sequence

import pytest
import trio
import trio.testing
from fakes.running import Events, running

from peatd.discovery.events import DiscoveryEvent, DiscoveryStatus, PeerFound, PeerInfo, PeerLost, PeerUpdated
from peatd.discovery.hybrid import HybridDiscovery
from peatd.discovery.kubernetes import KubernetesDiscovery, KubernetesDiscoveryConfig
from peatd.discovery.roster import Roster
from peatd.discovery.static import StaticDiscovery
from peatd.errors import DiscoveryError
from peatd.names import Address, NodeId, StaticPeer

ALICE = NodeId("alice")
ONE, TWO, THREE = (Address(f"10.0.0.{n}", 11204) for n in (1, 2, 3))


class Scripted:
    """A source that knows what the test says."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.roster = Roster(source)
        self.state = DiscoveryStatus(True)
        self.error: Exception | None = None

    def stop(self) -> None:
        self.roster.stop()

    def discovered_peers(self) -> Sequence[PeerInfo]:
        return self.roster.peers()

    def event_stream(self) -> trio.MemoryReceiveChannel[DiscoveryEvent]:
        return self.roster.event_stream()

    def status(self) -> DiscoveryStatus:
        return self.state

    async def start(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with self.roster.running():
            if self.error is not None:
                raise self.error
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.roster.announce)
                task_status.started()
                await trio.sleep_forever()

    def say(self, *addresses: Address, relay_url: str | None = None, **metadata: str) -> None:
        self.roster.put(PeerInfo(ALICE, addresses, relay_url, metadata))


@pytest.fixture
def first() -> Scripted:
    return Scripted("first")


@pytest.fixture
def second() -> Scripted:
    return Scripted("second")


async def hears_nothing(events: Events) -> bool:
    await trio.testing.wait_all_tasks_blocked()
    try:
        events.receive_nowait()
    except trio.WouldBlock:
        return True
    return False


async def test_a_peer_of_two_sources_is_lost_with_the_last(first: Scripted, second: Scripted) -> None:
    hybrid = HybridDiscovery([first, second])
    async with running(hybrid) as events:
        second.say(ONE)
        assert await events.receive() == PeerFound(PeerInfo(ALICE, (ONE,)))
        assert hybrid.sources_of(ALICE) == ("second",)
        first.say(ONE)
        assert await hears_nothing(events)
        assert hybrid.sources_of(ALICE) == ("first", "second")
        assert (hybrid.known_to("first"), hybrid.known_to("second")) == (1, 1)
        second.roster.lose(ALICE)
        assert await hears_nothing(events)
        assert hybrid.sources_of(ALICE) == ("first",)
        first.roster.lose(ALICE)
        assert await events.receive() == PeerLost(ALICE)
        assert hybrid.sources_of(ALICE) == ()
        assert hybrid.discovered_peers() == ()


async def test_what_sources_say_is_merged_in_their_order(first: Scripted, second: Scripted) -> None:
    hybrid = HybridDiscovery([first, second])
    async with running(hybrid) as events:
        second.say(TWO, ONE, relay_url="theirs", role="edge", zone="z")
        assert isinstance(await events.receive(), PeerFound)
        first.say(ONE, THREE, role="hub")
        merged = PeerInfo(ALICE, (ONE, THREE, TWO), "theirs", {"role": "hub", "zone": "z"})
        assert await events.receive() == PeerUpdated(merged)
        assert hybrid.discovered_peers() == (merged,)
        first.roster.lose(ALICE)
        event = await events.receive()
        assert event == PeerUpdated(PeerInfo(ALICE, (TWO, ONE), "theirs", {"role": "edge", "zone": "z"}))


async def test_a_source_that_ends_knows_nothing_any_more(first: Scripted, second: Scripted) -> None:
    hybrid = HybridDiscovery([first, second])
    async with running(hybrid) as events:
        first.say(ONE)
        assert isinstance(await events.receive(), PeerFound)
        first.stop()
        assert await events.receive() == PeerLost(ALICE)


async def test_its_end_is_not_the_end_of_its_peers(first: Scripted) -> None:
    hybrid = HybridDiscovery([first])
    async with running(hybrid) as events:
        first.say(ONE)
        assert isinstance(await events.receive(), PeerFound)
    assert [event async for event in events] == []
    assert len(hybrid.discovered_peers()) == 1


async def test_ready_is_the_conjunction_and_messages_name_their_source(first: Scripted, second: Scripted) -> None:
    hybrid = HybridDiscovery([first, second])
    assert not hybrid.status().ready
    async with running(hybrid):
        assert hybrid.status() == DiscoveryStatus(True)
        first.state = DiscoveryStatus(False, "no list yet")
        assert hybrid.status() == DiscoveryStatus(False, "first: no list yet")
        second.state = DiscoveryStatus(True, "stale")
        assert hybrid.status() == DiscoveryStatus(False, "first: no list yet; second: stale")
        first.state = DiscoveryStatus(True)
        assert hybrid.status() == DiscoveryStatus(True, "second: stale")


async def test_a_source_that_can_never_work_is_fatal_and_named(first: Scripted, second: Scripted) -> None:
    second.error = DiscoveryError("no cluster")
    with trio.fail_after(5), pytest.raises(DiscoveryError, match="second discovery: no cluster"):
        await HybridDiscovery([first, second]).start()


async def test_a_fault_in_a_source_is_not_hidden(first: Scripted) -> None:
    first.error = ZeroDivisionError()
    with trio.fail_after(5), pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        await HybridDiscovery([first]).start()


async def test_none_is_ready_and_finds_nobody() -> None:
    hybrid = HybridDiscovery([])
    async with running(hybrid) as events:
        assert hybrid.status() == DiscoveryStatus(True)
        assert await hears_nothing(events)


async def test_kubernetes_without_a_cluster_beside_a_static_list_is_fatal(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    config = KubernetesDiscoveryConfig(service_account_dir=tmp_path_factory.mktemp("empty"))
    sources = [StaticDiscovery([StaticPeer(None, ONE)]), KubernetesDiscovery(config)]
    with (
        trio.fail_after(20),
        pytest.raises(DiscoveryError, match="kubernetes discovery: there is no Kubernetes cluster"),
    ):
        await HybridDiscovery(sources).start()
