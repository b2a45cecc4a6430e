"""Whom discovery knows is linked with, for ever."""

import itertools
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from fakes.links import memory_links, peer
from gossip.conftest import One, device
from trio.testing import MockClock, wait_all_tasks_blocked

from peatd.claims import Verdict
from peatd.dial_order import dial_order
from peatd.dialer import Dialer
from peatd.discovery.events import DiscoveryEvent, PeerFound, PeerInfo, PeerLost, PeerUpdated
from peatd.errors import Declined, PeerError, Unreachable
from peatd.links import Links
from peatd.names import Address, DeviceId, NodeId
from peatd.peers import Parting, PeerState, PeerTable, Sighting
from peatd.transport.dial import CONNECT_DEADLINE
from peatd.transport.link import Link, LinkEnd, LinkPeer
from peatd.view import View

BOB = NodeId("bob")
AT_BOB, ELSEWHERE = Address("10.0.0.2", 11204), Address("10.0.0.3", 11204)


class FakeLinks:
    """A registry in which a link lasts until the test cuts it."""

    def __init__(self, peers: PeerTable) -> None:
        self.changed = trio.Event()
        self.kept = 0
        self.cut = trio.Event()
        self.end = LinkEnd("cut", "the connection was cut", by_peer=False)
        self.verdict = Verdict.KEEP
        self.revoked: set[DeviceId | None] = set()
        self.view = View(One("alice").members, 16, list[bytes])
        self._peers = peers

    def tell_changed(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    def judged(self, _peer: LinkPeer) -> Verdict:
        return self.verdict

    def is_revoked(self, device_id: DeviceId | None) -> bool:
        return device_id in self.revoked

    async def keep(self, link: Link) -> LinkEnd:
        self.kept += 1
        self.cut = trio.Event()
        await self.cut.wait()
        return self.end


class Scene:
    """A dialer, and a network on which nobody answers until `up`."""

    def __init__(self) -> None:
        self.peers = PeerTable(NodeId("alice"), DeviceId("aa" * 16))
        self.links = FakeLinks(self.peers)
        self.dialled: list[tuple[float, Sequence[Address]]] = []
        self.up = False
        self.silence = 0.0
        self.error: PeerError | None = None
        self.tell, self.events = trio.open_memory_channel[DiscoveryEvent](10)
        registry: Links = self.links  # type: ignore[assignment]  # the part of it that a dialer uses
        self.dialer = Dialer(self.peers, registry, self.dial, lambda _: ("static",))

    async def dial(self, sighting: Sighting) -> Link:
        addresses = dial_order(sighting.info.addresses, sighting.last_good)  # as whoever knows the ways does
        self.dialled.append((trio.current_time(), addresses))
        await trio.lowlevel.checkpoint()
        if not self.up and self.silence:
            # A SYN is sent again after 1 and 3 s (RFC 6298), and one of them may find the way open.
            with trio.move_on_after(self.silence):
                for pause in (1.0, 2.0, self.silence):
                    await trio.sleep(pause)
                    if self.up:
                        break
        if self.error is not None:
            raise self.error
        if not self.up:
            raise Unreachable(f"{addresses[0]}: connection refused", code="refused")
        return memory_links("alice", "bob")[0]

    async def tell_all(self, peers: Iterable[PeerInfo]) -> None:
        for info in peers:
            await self.tell.send(PeerFound(info))
            await trio.lowlevel.checkpoint()

    async def found(self, *addresses: Address) -> None:
        await self.tell.send(PeerFound(PeerInfo(BOB, addresses or (AT_BOB,))))
        await wait_all_tasks_blocked()


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.dialer.run, made.events)
        yield made
        nursery.cancel_scope.cancel()


async def test_a_peer_that_is_down_is_dialled_again_and_again_with_growing_pauses(autojump_clock: MockClock) -> None:
    async with scene() as it:
        await it.found()
        await trio.sleep(600)
        times = [time for time, _ in it.dialled]
        pauses = [later - sooner for sooner, later in itertools.pairwise(times)]
        assert len(times) > 20
        assert max(pauses[:2]) <= 1.0
        assert max(pauses) <= 30.0
        assert it.peers.sighting(BOB).error == "10.0.0.2:11204: connection refused"  # type: ignore[union-attr]


async def test_that_it_still_does_not_answer_is_no_news(autojump_clock: MockClock) -> None:
    async with scene() as it:
        told: list[NodeId | None] = []
        it.peers.watch(told.append)
        await it.found()
        await trio.sleep(600)
        assert told == [BOB, BOB], "it was found, and did not answer: each try would be compared with all other peers"


async def test_a_link_that_ends_is_made_again(autojump_clock: MockClock) -> None:
    async with scene() as it:
        it.up = True
        await it.found()
        assert it.links.kept == 1
        it.links.cut.set()
        await trio.sleep(1.0)
        assert it.links.kept == 2


async def test_links_that_break_at_once_are_dialled_ever_less_whoever_makes_them(autojump_clock: MockClock) -> None:
    """Something between the two lets handshakes pass, and breaks whatever follows."""
    async with scene() as it:
        it.up = True
        bob = peer("bob", initiating=False)
        await it.found()
        for _ in range(240):
            it.links.cut.set()
            it.peers.met(bob.node_id, bob.device_id, AT_BOB)
            it.dialer.arrived(bob, AT_BOB.host)
            await trio.sleep(0.05)
            now = trio.current_time()
            it.peers.parted(bob.device_id, Parting(now, now, now, frozenset(), 0, "cut"))
            it.links.tell_changed()
            await trio.sleep(0.2)
        assert 2 < len(it.dialled) < 60


@pytest.mark.parametrize("is_silent", [False, True], ids=["refused", "no answer"])
async def test_a_link_that_was_cut_for_a_minute_is_back_within_five_seconds(
    autojump_clock: MockClock, is_silent: bool
) -> None:
    """By one end alone; mostly the other is sooner. Afterwards such a peer is dialled as any other."""
    for fraction in (0.0, 0.3, 0.999):
        async with scene() as it:
            it.up, it.silence = True, CONNECT_DEADLINE if is_silent else 0.0
            await it.found()
            bob = peer("bob", initiating=True)
            it.peers.met(bob.node_id, bob.device_id, AT_BOB)
            await trio.sleep(100)
            it.up = False
            now = trio.current_time()
            it.peers.parted(bob.device_id, Parting(now, now, now, frozenset(), 0, "cut"))
            it.links.cut.set()
            await trio.sleep(30 + fraction * (CONNECT_DEADLINE + 2))
            it.up = True
            await trio.sleep(4.5)
            assert it.links.kept == 2


async def test_a_peer_that_stays_away_is_dialled_ever_less(autojump_clock: MockClock) -> None:
    async with scene() as it:
        it.up = True
        await it.found()
        bob = peer("bob", initiating=True)
        it.peers.met(bob.node_id, bob.device_id, AT_BOB)
        await trio.sleep(100)
        it.up = False
        now = trio.current_time()
        it.peers.parted(bob.device_id, Parting(now, now, now, frozenset(), 0, "cut"))
        it.links.cut.set()
        await trio.sleep(900)
        early = sum(now < time <= now + 300 for time, _ in it.dialled)
        late = sum(now + 600 < time for time, _ in it.dialled)
        assert early > 150
        assert late < 60


async def test_a_lost_peer_is_dialled_no_more_but_its_link_stays(autojump_clock: MockClock) -> None:
    async with scene() as it:
        it.up = True
        await it.found()
        await it.tell.send(PeerLost(BOB))
        await trio.sleep(60)
        assert it.links.kept == 1
        it.links.cut.set()
        await trio.sleep(60)
        assert len(it.dialled) == 1


async def test_who_is_lost_in_the_moment_in_which_it_was_to_be_looked_at_again_is_lost(mock_clock: MockClock) -> None:
    async with scene() as it:
        it.links.view.wants = lambda *_: False  # type: ignore[method-assign]
        await it.found()
        it.tell.send_nowait(PeerUpdated(PeerInfo(BOB, (ELSEWHERE,))))
        it.tell.send_nowait(PeerLost(BOB))
        await wait_all_tasks_blocked()
        assert it.dialled == []
        assert list(it.peers.all(trio.current_time())) == []
        it.links.view.wants = lambda *_: True  # type: ignore[method-assign]
        await it.found()
        assert len(it.dialled) == 1


async def test_a_new_address_is_dialled_at_once(mock_clock: MockClock) -> None:
    async with scene() as it:
        await it.found()
        await it.tell.send(PeerUpdated(PeerInfo(BOB, (ELSEWHERE,))))
        await wait_all_tasks_blocked()
        assert it.dialled == [(mock_clock.current_time(), [AT_BOB]), (mock_clock.current_time(), [ELSEWHERE])]


async def test_the_address_that_was_good_last_is_tried_first(autojump_clock: MockClock) -> None:
    async with scene() as it:
        it.up = True
        bob = Address("bob", 11204)  # where the links of these tests lead
        await it.found(AT_BOB, bob)
        it.links.cut.set()
        await trio.sleep(1.0)
        assert [addresses for _, addresses in it.dialled] == [[AT_BOB, bob], [bob, AT_BOB]]


async def test_a_name_of_who_is_linked_already_needs_no_link(autojump_clock: MockClock) -> None:
    async with scene() as it:
        bob = peer("bob", initiating=False)
        it.peers.met(bob.node_id, bob.device_id, AT_BOB)
        it.error = Declined("bob: we are linked already", "declined", bob.device_id)
        await it.tell.send(PeerFound(PeerInfo(NodeId("hub"), (ELSEWHERE,))))
        await trio.sleep(600)
        assert len(it.dialled) == 1
        (shown,) = it.peers.all(trio.current_time())
        assert (shown.node_id, shown.addresses, shown.error) == (BOB, (ELSEWHERE,), None)


async def test_who_has_enough_links_as_we_have_is_asked_again_later(autojump_clock: MockClock) -> None:
    async with scene() as it:
        it.error = Declined("bob: both have as many links as they need", "declined", device(BOB).hex())
        await it.found()
        await trio.sleep(600)
        assert 20 < len(it.dialled) < 100
        assert it.peers.sighting(BOB).error is None  # type: ignore[union-attr]


async def test_of_a_crowd_some_are_dialled_whatever_their_order(autojump_clock: MockClock) -> None:
    """All nodes are told of the same ones first, one by one."""
    crowd = [PeerInfo(NodeId(f"n{number}"), (Address(f"10.0.1.{number}", 11204),)) for number in range(60)]
    first = {str(info.addresses[0]) for info in crowd[:20]}
    dialled = []
    for _ in range(3):
        async with scene() as it:
            it.silence = 10.0
            async with trio.open_nursery() as nursery:
                nursery.start_soon(it.tell_all, crowd)
                await trio.sleep(0.5)
            dialled += [str(addresses[0]) for _, addresses in it.dialled]
            assert len(it.dialled) == 4
    assert not first.issuperset(dialled)


async def test_where_another_answers_whom_discovery_knows_the_other_addresses_are_tried(
    autojump_clock: MockClock,
) -> None:
    """One of them was wrong: old, or what a stranger has said."""
    async with scene() as it:
        await it.tell.send(PeerFound(PeerInfo(BOB, (AT_BOB,))))
        await trio.sleep(60)
        it.up = True
        dialled = len(it.dialled)
        await it.tell.send(PeerFound(PeerInfo(NodeId("carol"), (AT_BOB, ELSEWHERE))))
        await trio.sleep(1)
        assert it.links.kept >= 1
        bob = peer("bob", initiating=True)
        it.peers.met(bob.node_id, bob.device_id, AT_BOB)
        it.error = Unreachable("10.0.0.3:11204: connection refused", code="refused")
        await trio.sleep(60)
        assert len(it.dialled) > dialled + 2
        (_, carol) = it.peers.all(trio.current_time())
        assert (carol.node_id, carol.device_id, carol.error) == ("carol", None, str(it.error))


async def test_whoever_dials_us_is_dialled_back_at_once(mock_clock: MockClock) -> None:
    async with scene() as it:
        await it.found()
        it.dialer.arrived(peer("bob", initiating=False), "10.9.9.9")
        await wait_all_tasks_blocked()
        assert len(it.dialled) == 1
        it.dialer.arrived(peer("bob", initiating=False), "10.0.0.2")
        await wait_all_tasks_blocked()
        assert len(it.dialled) == 2


class Steps(trio.abc.Instrument):
    """Counts what tasks do."""

    def __init__(self) -> None:
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1


async def test_whoever_had_dialled_us_is_dialled_when_its_link_ends_and_nobody_else_looks(
    mock_clock: MockClock,
) -> None:
    async with scene() as it:
        bob = peer("bob", initiating=False)
        for number in range(100):
            other = peer(f"n{number}", initiating=False)
            it.peers.met(other.node_id, other.device_id, AT_BOB)
            await it.tell.send(PeerFound(PeerInfo(other.node_id, (ELSEWHERE,))))
        it.peers.met(bob.node_id, bob.device_id, AT_BOB)
        await it.found()
        mock_clock.jump(60)
        await wait_all_tasks_blocked()
        it.peers.parted(bob.device_id, Parting(60.0, 60.0, 60.0, frozenset(), 0, "cut"))
        steps = Steps()
        trio.lowlevel.add_instrument(steps)
        it.links.tell_changed()
        await wait_all_tasks_blocked()
        trio.lowlevel.remove_instrument(steps)
        assert [addresses for _, addresses in it.dialled] == [[AT_BOB]]
        assert steps.count < 20


async def test_an_unnamed_peer_that_dials_from_elsewhere_is_soon_known_to_be_that_one(mock_clock: MockClock) -> None:
    """Until we have dialled it, it is shown twice: by its address, and by its name."""
    async with scene() as it:
        unnamed = NodeId(str(AT_BOB))
        await it.tell.send(PeerFound(PeerInfo(unnamed, (AT_BOB,))))
        await wait_all_tasks_blocked()
        it.up = True
        bob = peer("bob", initiating=False)
        it.peers.met(bob.node_id, bob.device_id, ELSEWHERE)
        it.dialer.arrived(bob, ELSEWHERE.host)
        await wait_all_tasks_blocked()
        assert len(it.dialled) == 2
        (shown,) = it.peers.all(trio.current_time())
        assert (shown.node_id, shown.addresses) == (BOB, (AT_BOB,))


async def test_a_peer_that_is_known_already_has_nobody_else_dialled(mock_clock: MockClock) -> None:
    async with scene() as it:
        await it.tell.send(PeerFound(PeerInfo(NodeId("carol"), (ELSEWHERE,))))
        await it.found()
        for _ in range(3):
            it.dialer.arrived(peer("bob", initiating=False), "10.9.9.9")
            await wait_all_tasks_blocked()
        assert len(it.dialled) == 2


async def test_who_goes_by_a_node_id_that_is_taken_is_not_dialled_back(mock_clock: MockClock) -> None:
    """Each would dial the other whenever it was dialled, for ever."""
    async with scene() as it:
        it.up = True
        it.links.end = LinkEnd(Verdict.TWIN.value, "its node id is taken", by_peer=False)
        await it.found()
        it.links.cut.set()
        await wait_all_tasks_blocked()
        for _ in range(3):
            it.dialer.arrived(peer("bob", initiating=False), "10.0.0.2")
            await wait_all_tasks_blocked()
        assert len(it.dialled) == 1
        it.links.cut = trio.Event()
        mock_clock.jump(30.0)
        await wait_all_tasks_blocked()
        assert len(it.dialled) == 2


async def test_a_twin_is_never_shown_as_whom_it_takes_itself_for(mock_clock: MockClock) -> None:
    """Not even while we tell it so, and wait for it to hang up."""
    async with scene() as it:
        bob = peer("bob", initiating=False)
        it.peers.met(bob.node_id, bob.device_id, AT_BOB)
        it.up, it.links.verdict = True, Verdict.TWIN
        await it.tell.send(PeerFound(PeerInfo(NodeId("second"), (ELSEWHERE,))))
        await wait_all_tasks_blocked()
        assert it.links.kept == 1
        assert [(peer.node_id, peer.device_id) for peer in it.peers.all(0)] == [
            ("bob", bob.device_id),
            ("second", None),
        ]


async def test_a_link_that_ends_for_a_rotation_is_made_again_at_once(mock_clock: MockClock) -> None:
    async with scene() as it:
        it.up = True
        it.links.end = LinkEnd(Verdict.ROTATED.value, "the formation secret was rotated: dial again", by_peer=True)
        await it.found()
        it.links.cut.set()
        await wait_all_tasks_blocked()
        assert it.links.kept == 2


async def test_who_is_revoked_is_not_dialled(autojump_clock: MockClock) -> None:
    async with scene() as it:
        it.up = True
        await it.found()
        bob = it.peers.sighting(BOB)
        assert bob is not None
        it.links.revoked.add(bob.device_id)
        it.links.end = LinkEnd(Verdict.REVOKED.value, "its key was revoked", by_peer=False)
        it.links.cut.set()
        await trio.sleep(600)
        assert len(it.dialled) == 1
        (shown,) = it.peers.all(trio.current_time())
        assert (shown.state, shown.error) == (PeerState.BACKING_OFF, "its key was revoked")


async def test_who_is_revoked_is_dialled_once_more_when_something_is_known_anew(autojump_clock: MockClock) -> None:
    """It may have another key by now: we know of that only when we meet it."""
    async with scene() as it:
        it.up = True
        await it.found()
        it.links.revoked.add(it.peers.sighting(BOB).device_id)  # type: ignore[union-attr]  # it is there
        it.links.end = LinkEnd(Verdict.REVOKED.value, "its key was revoked", by_peer=False)
        it.links.cut.set()
        await trio.sleep(60)
        it.dialer.renew()
        await trio.sleep(1)
        assert len(it.dialled) == 2
        it.links.revoked.clear()  # the peer that arrives has another
        it.links.cut.set()
        await trio.sleep(60)
        it.dialer.arrived(peer("bob", initiating=False), "10.9.9.9")
        await trio.sleep(1)
        assert it.links.kept >= 3


async def test_behind_a_name_there_may_be_others_than_who_is_revoked(autojump_clock: MockClock) -> None:
    async with scene() as it:
        it.up = True
        await it.found(Address("mesh.example.org", 11204))
        it.links.revoked.add(it.peers.sighting(BOB).device_id)  # type: ignore[union-attr]  # it is there
        it.links.end = LinkEnd(Verdict.REVOKED.value, "its key was revoked", by_peer=False)
        it.links.cut.set()
        await trio.sleep(100)
        assert 2 <= len(it.dialled) <= 3


async def test_who_was_revoked_by_its_peers_tries_again_seldom(autojump_clock: MockClock) -> None:
    async with scene() as it:
        it.up = True
        it.links.end = LinkEnd(Verdict.REVOKED.value, "the key was revoked", by_peer=True)
        await it.found()

        async def refuse() -> None:
            while True:
                it.links.cut.set()
                await trio.sleep(0.1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(refuse)
            await trio.sleep(600)
            nursery.cancel_scope.cancel()
        assert 20 <= len(it.dialled) <= 42


async def test_ourselves_are_not_dialled(autojump_clock: MockClock) -> None:
    async with scene() as it:
        await it.tell.send(PeerFound(PeerInfo(NodeId("alice"), (AT_BOB,))))
        await trio.sleep(60)
        assert it.dialled == []


async def test_whom_a_large_mesh_reaches_by_way_of_others_is_not_dialled_until_it_is_missed(
    autojump_clock: MockClock,
) -> None:
    async with scene() as it:
        it.up = True
        wanted = False
        it.links.view.wants = lambda *_: wanted  # type: ignore[method-assign]
        await it.found()
        await trio.sleep(60)
        assert it.dialled == []
        assert [peer.state for peer in it.peers.all(trio.current_time())] == [PeerState.REACHABLE]
        wanted = True
        await trio.sleep(4)
        assert len(it.dialled) == 1
        assert [peer.state for peer in it.peers.all(trio.current_time())] != [PeerState.REACHABLE]
