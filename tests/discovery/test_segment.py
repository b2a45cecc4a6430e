"""What a node says, asks and remembers on one segment of a LAN."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest
from zeroconf import DNSOutgoing, DNSQuestion  # type: ignore[attr-defined]  # its __all__ is not complete

from peatd.discovery.announcer import LIFETIME
from peatd.discovery.dnssd import (
    SERVICES,
    Asked,
    Notice,
    Told,
    farewell_packet,
    notice_packet,
    question,
    read_packet,
)
from peatd.discovery.neighbours import MAX_NOTICES, MAX_UNPROVEN
from peatd.discovery.segment import Segment
from peatd.names import DeviceId, NodeId

HASH, OTHER_HASH = "0123456789abcdef", "fedcba9876543210"
PROOF = "00112233445566aa"


def notice(name: str, *, label: str | None = None, host: str = "192.0.2.1", formation: str = HASH) -> Notice:
    return Notice(label or f"l-{name}", NodeId(name), DeviceId("aa" * 16), 11204, (formation,), (host,), (PROOF,))


def unproven(name: str, *, label: str | None = None) -> Notice:
    return replace(notice(name, label=label), proofs=())


ALICE, BOB = notice("alice"), notice("bob", host="192.0.2.2")


class Scene:
    """Alice's segment, a clock, and all that she has sent."""

    def __init__(self, ours: Notice | None = ALICE) -> None:
        self.now = 1000.0
        self.sent: list[tuple[float, Asked | Told]] = []
        self.segment = Segment(
            lambda told: told.formations == (HASH,) and told.label != ALICE.label,
            lambda told: told.proofs == (PROOF,),
            self.now,
            0.5,
        )
        self.segment.announce(ours, self.now, 0.5)

    def until(self, now: float) -> None:
        """Passes the time, and takes what is due when it is."""
        while self.segment.due <= now:
            self.now = max(self.now, self.segment.due)
            due = self.segment.due
            self.sent += [(self.now, read_packet(packet)) for packet in self.segment.take(self.now, 0.5)]
            assert self.segment.due > due, "it would be asked again and again"
        self.now = now

    def hears(self, *packets: bytes) -> None:
        for packet in packets:
            self.segment.heard(packet, self.now, 0.5)

    def told(self) -> list[float]:
        """When it said what it is."""
        return [when for when, message in self.sent if isinstance(message, Told) and message.notices]

    def asked(self) -> list[tuple[float, set[str]]]:
        """When it asked, and whom it knew."""
        return [(when, set(message.known)) for when, message in self.sent if isinstance(message, Asked)]

    def known(self) -> set[Notice]:
        return set(self.segment.notices())


@pytest.fixture
def alice() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.until(scene.now + 500)
    assert scene.segment.notices() == (), "nobody is remembered who does not speak"
    assert len(scene.asked()) < 200


def answers(scene: Scene, *others: Notice, until: float) -> None:
    """Passes the time with nodes that answer whatever asks for them."""
    seen = len(scene.sent)
    while scene.segment.due < until:
        scene.until(scene.segment.due)
        for _, message in scene.sent[seen:]:
            if isinstance(message, Asked):
                silent = {label for label, seconds in message.known.items() if seconds >= LIFETIME / 2}
                scene.hears(*(notice_packet(other, LIFETIME) for other in others if other.label not in silent))
        seen = len(scene.sent)
    scene.until(until)


# What it says --------------------------------------------------------------------------------------------------------


def test_a_new_notice_is_said_three_times_and_then_only_when_asked(alice: Scene) -> None:
    alice.until(1200)
    assert alice.told() == pytest.approx([1000.07, 1001.07, 1003.07])


def test_who_asks_is_answered_soon(alice: Scene) -> None:
    alice.until(1100)
    alice.hears(question([]))
    alice.until(1200)
    assert alice.told()[3:] == pytest.approx([1100.07])


@pytest.mark.parametrize(("seconds", "is_answered"), [(13.0, False), (12.0, True)])
def test_who_knows_it_for_half_of_its_time_yet_is_not_answered(alice: Scene, seconds: float, is_answered: bool) -> None:
    alice.until(1100)
    alice.hears(question([(ALICE.label, seconds)]))
    alice.until(1200)
    assert (len(alice.told()) == 4) is is_answered


def test_a_storm_of_questions_makes_an_answer_a_second(alice: Scene) -> None:
    alice.until(1100)
    for n in range(500):
        alice.until(1100 + n / 100)
        alice.hears(question([]))
    alice.until(1200)
    assert 5 <= len(alice.told()) - 3 <= 7


def test_who_asks_for_services_is_told_that_there_is_this_one(alice: Scene) -> None:
    alice.until(1100)
    message = DNSOutgoing(0)
    message.add_question(DNSQuestion(SERVICES, 12, 1))
    alice.hears(*message.packets())
    alice.until(1101)
    assert len(alice.told()) == 4
    assert alice.sent[-1][1] == Told((), frozenset())


def test_a_question_for_something_else_is_not_answered(alice: Scene) -> None:
    alice.until(1100)
    alice.hears(question([]).replace(b"_peat", b"_ipps"))
    alice.until(1200)
    assert len(alice.told()) == 3


def test_who_has_nothing_to_say_only_asks() -> None:
    scene = Scene(None)
    scene.hears(question([]))
    scene.until(1100)
    assert scene.told() == []
    assert scene.asked()
    assert scene.segment.farewell() == []


def test_another_name_takes_back_the_old_one() -> None:
    scene = Scene()
    scene.until(1100)
    scene.segment.announce(replace(ALICE, label="l-new"), scene.now, 0.5)
    scene.until(1101)
    assert (scene.now - 1 + 0.07, Told((), frozenset({ALICE.label}))) in scene.sent
    assert scene.segment.farewell() == [farewell_packet("l-new")]


def test_another_address_is_said_and_takes_nothing_back() -> None:
    scene = Scene()
    scene.until(1100)
    scene.segment.announce(replace(ALICE, hosts=("192.0.2.9",)), scene.now, 0.5)
    scene.until(1200)
    assert len(scene.told()) == 6
    assert all(not message.gone for _, message in scene.sent if isinstance(message, Told))


def test_at_the_end_it_is_taken_back(alice: Scene) -> None:
    assert alice.segment.farewell() == [farewell_packet(ALICE.label)]


def test_who_speaks_in_its_name_is_contradicted(alice: Scene) -> None:
    alice.until(1100)
    alice.hears(notice_packet(ALICE, 25))
    alice.until(1110)
    assert len(alice.told()) == 3, "its own packets come back to it"
    alice.hears(notice_packet(replace(ALICE, hosts=("192.0.2.66",)), 25))
    alice.until(1200)
    assert len(alice.told()) == 4


# Whom it knows -------------------------------------------------------------------------------------------------------


def test_it_asks_at_once_and_then_ever_less(alice: Scene) -> None:
    alice.until(1500)
    times = [when - 1000 for when, _ in alice.asked()]
    assert times[:5] == pytest.approx([0.07, 1.08, 3.1, 7.14, 15.22], abs=0.05)
    assert max(later - sooner for sooner, later in itertools.pairwise(times)) < 62


def test_who_says_so_is_there(alice: Scene) -> None:
    alice.hears(notice_packet(BOB, 25))
    assert alice.known() == {BOB}
    assert alice.segment.neighbours.changes == 1


def test_who_dies_without_a_word_is_gone_when_its_time_is_over_and_is_asked_for_before(alice: Scene) -> None:
    alice.until(1100)
    alice.hears(notice_packet(BOB, 25))
    alice.until(1124.9)
    assert alice.known() == {BOB}
    late = [when for when, known in alice.asked() if when > 1119]
    assert len(late) >= 3
    alice.until(1125.1)
    assert alice.known() == set()


def test_who_answers_stays(alice: Scene) -> None:
    alice.hears(notice_packet(BOB, 25))
    answers(alice, BOB, until=1400)
    assert alice.known() == {BOB}
    assert alice.segment.neighbours.changes == 1, "that it is still there is no news"


def test_many_are_asked_for_at_once(alice: Scene) -> None:
    """Known at different times, they come to be asked for together: a question a while, and not one for each."""
    many = [notice(f"n{n}") for n in range(10)]
    for n, one in enumerate(many):
        answers(alice, *many[:n], until=1000 + 2.3 * n)
        alice.hears(notice_packet(one, 25))
    answers(alice, *many, until=1200)
    before = len(alice.asked())
    answers(alice, *many, until=1400)
    assert alice.known() == set(many)
    assert len(alice.asked()) - before < 25


def test_who_takes_its_notice_back_is_gone_soon_and_is_asked_for(alice: Scene) -> None:
    alice.until(1100)
    alice.hears(notice_packet(BOB, 25), farewell_packet(BOB.label))
    alice.until(1100.1)
    assert alice.asked()[-1] == (pytest.approx(1100, abs=0.1), set())
    alice.until(1103)
    assert alice.known() == set()


def test_a_farewell_in_anothers_name_takes_nobody_away(alice: Scene) -> None:
    alice.until(1100)
    alice.hears(notice_packet(BOB, 25), farewell_packet(BOB.label))
    answers(alice, BOB, until=1110)
    assert alice.known() == {BOB}
    assert alice.segment.neighbours.changes == 1


def test_who_speaks_in_anothers_name_stands_beside_it(alice: Scene) -> None:
    liar = replace(BOB, hosts=("192.0.2.66",))
    alice.hears(notice_packet(BOB, 25), notice_packet(liar, 25))
    assert alice.known() == {BOB, liar}


def test_another_formation_is_of_no_concern(alice: Scene) -> None:
    alice.hears(notice_packet(notice("eve", formation=OTHER_HASH), 25))
    assert alice.known() == set()


def test_of_one_node_four_notices_are_remembered(alice: Scene) -> None:
    alice.hears(*(notice_packet(notice("bob", label=f"l-{n}"), 25) for n in range(9)))
    assert len(alice.known()) == 4
    assert alice.segment.neighbours.refused == 5


def test_invariant_1_no_more_than_fit_are_remembered(alice: Scene) -> None:
    alice.hears(notice_packet(BOB, 25))
    alice.hears(*(notice_packet(notice(f"n{n}"), 25) for n in range(MAX_NOTICES + 50)))
    assert len(alice.known()) == MAX_NOTICES
    assert BOB in alice.known()
    assert alice.segment.neighbours.refused == 51


def test_what_proves_nothing_takes_the_place_of_its_like_only(alice: Scene) -> None:
    alice.hears(*(notice_packet(unproven(f"n{n}"), 120) for n in range(MAX_NOTICES)))
    alice.hears(*(notice_packet(unproven("bob", label=f"l-{n}"), 120) for n in range(9)))
    assert len(alice.known()) == MAX_UNPROVEN
    proven = [notice(f"m{n}") for n in range(MAX_NOTICES - 1)]
    alice.hears(*(notice_packet(one, 120) for one in (BOB, *proven)))
    assert {BOB, *proven} <= set(alice.known())
    alice.until(1121.0)
    alice.hears(notice_packet(unproven("carol"), 120))
    assert alice.known() == {unproven("carol")}


def test_those_who_come_and_go_without_end_come_ever_slower(alice: Scene) -> None:
    """Each makes us dial somebody."""
    for second in range(100):
        alice.until(1000.0 + second)
        for n in range(100):
            alice.hears(notice_packet(notice(f"n{second}-{n}"), 10), farewell_packet(f"l-n{second}-{n}"))
    assert alice.segment.neighbours.changes <= 2 * (MAX_NOTICES + 100 * 8)


@pytest.mark.parametrize(("lifetime", "lasts"), [(1, 10), (2**31, 120)])
def test_a_lifetime_has_bounds(alice: Scene, lifetime: int, lasts: float) -> None:
    alice.hears(notice_packet(BOB, lifetime))
    alice.until(1000 + lasts - 0.1)
    assert alice.known() == {BOB}
    alice.until(1000 + lasts + 0.1)
    assert alice.known() == set()


def test_a_question_has_room_for_sixteen_that_are_known(alice: Scene) -> None:
    alice.hears(*(notice_packet(notice(f"n{n}", label="l" * 50 + str(n)), 25) for n in range(100)))
    alice.until(1005)
    assert {len(known) for _, known in alice.asked()} == {16}
    assert all(len(question([(label, 25) for label in known])) < 1460 for _, known in alice.asked())


@pytest.mark.parametrize("packet", [b"", b"junk", bytes(12), bytes(9001), notice_packet(BOB, 25)[:100]])
def test_what_is_no_message_is_ignored(alice: Scene, packet: bytes) -> None:
    alice.hears(packet)
    assert alice.known() == set()
