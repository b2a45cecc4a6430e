import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from peatd.discovery.events import DiscoveryEvent, PeerFound, PeerInfo, PeerLost, PeerUpdated
from peatd.discovery.roster import Roster
from peatd.errors import DiscoveryError, EventStreamConsumed
from peatd.names import Address, NodeId


def peer(name: str, version: int = 0) -> PeerInfo:
    return PeerInfo(NodeId(name), (Address("10.0.0.1", 1),), None, {"version": str(version)})


def heard(events: trio.MemoryReceiveChannel[DiscoveryEvent]) -> list[DiscoveryEvent]:
    received = []
    while True:
        try:
            received.append(events.receive_nowait())
        except trio.WouldBlock:
            return received


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_what_changes_is_announced_once() -> None:
    roster = Roster("a test")
    events = roster.event_stream()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(roster.announce)
        roster.replace({NodeId(name): peer(name) for name in ("alice", "bob")})
        await settle()
        assert heard(events) == [PeerFound(peer("alice")), PeerFound(peer("bob"))]
        roster.replace({NodeId("alice"): peer("alice"), NodeId("bob"): peer("bob", 1)})
        await settle()
        assert heard(events) == [PeerUpdated(peer("bob", 1))]
        roster.lose(NodeId("bob"))
        roster.lose(NodeId("bob"))
        await settle()
        assert heard(events) == [PeerLost(NodeId("bob"))]
        assert roster.peers() == (peer("alice"),)
        nursery.cancel_scope.cancel()


async def test_a_listener_that_does_not_listen_holds_nobody_up_and_hears_the_last_state() -> None:
    roster = Roster("a test")
    events = roster.event_stream()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(roster.announce)
        for version in range(50):
            roster.replace({NodeId(str(n)): peer(str(n), version) for n in range(200)})
            await settle()
        known: dict[NodeId, PeerInfo] = {}
        count = 0
        while received := heard(events):
            count += len(received)
            known |= {event.peer.node_id: event.peer for event in received if not isinstance(event, PeerLost)}
            await settle()
        assert list(known.values()) == [peer(str(n), 49) for n in range(200)]
        assert count <= 400
        nursery.cancel_scope.cancel()


async def test_a_change_that_is_undone_in_time_is_none() -> None:
    roster = Roster("a test")
    events = roster.event_stream()
    roster.put(peer("alice"))
    roster.lose(NodeId("alice"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(roster.announce)
        await settle()
        assert heard(events) == []
        nursery.cancel_scope.cancel()


async def test_a_listener_that_leaves_ends_the_announcing_only() -> None:
    roster = Roster("a test")
    roster.event_stream().close()
    roster.put(peer("alice"))
    await roster.announce()
    assert roster.peers() == (peer("alice"),)


def test_the_stream_is_for_one() -> None:
    roster = Roster("a test")
    roster.event_stream()
    with pytest.raises(EventStreamConsumed, match="a test discovery"):
        roster.event_stream()


def test_it_runs_once() -> None:
    roster = Roster("a test")

    async def run() -> None:
        with roster.running():
            pass
        with pytest.raises(DiscoveryError, match="started already"), roster.running():
            pass

    trio.run(run)


_STATES = st.lists(
    st.tuples(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2)), st.integers(0, 3)), min_size=1, max_size=10
)


@given(_STATES)
def test_invariant_1_the_events_applied_in_order_give_what_is_announced(
    states: list[tuple[dict[str, int], int]],
) -> None:
    async def run() -> None:
        roster = Roster("a test")
        events = roster.event_stream()
        known: dict[NodeId, PeerInfo] = {}

        def apply(event: DiscoveryEvent) -> None:
            match event:
                case PeerFound(one):
                    assert one.node_id not in known
                    known[one.node_id] = one
                case PeerUpdated(one):
                    assert known[one.node_id] != one
                    known[one.node_id] = one
                case PeerLost(node_id):
                    del known[node_id]

        async with trio.open_nursery() as nursery:
            nursery.start_soon(roster.announce)
            for state, steps in states:
                roster.replace({NodeId(name): peer(name, version) for name, version in state.items()})
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                for event in heard(events):
                    apply(event)
            await settle()
            for event in heard(events):
                apply(event)
            nursery.cancel_scope.cancel()
        assert known == {NodeId(name): peer(name, version) for name, version in states[-1][0].items()}

    trio.run(run)
