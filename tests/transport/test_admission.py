"""Who may try a handshake, and what is worth a line in the log."""

from peatd.transport.admission import (
    MAX_HANDSHAKES,
    MAX_HANDSHAKES_PER_HOST,
    PATIENCE,
    SAY_INTERVAL,
    Admission,
    Attempt,
    Repetitions,
)


class Crowd:
    """Connections that come and stay."""

    def __init__(self) -> None:
        self.admission = Admission()
        self.ended: list[Attempt] = []

    def come(self, host: str = "192.0.2.1", now: float = 0.0) -> Attempt | None:
        attempt = Attempt(host, now, lambda: self.ended.append(attempt))
        return attempt if self.admission.admit(attempt) else None

    def fill(self, host: str = "192.0.2.1", now: float = 0.0) -> list[Attempt]:
        attempts = [self.come(host, now) for _ in range(MAX_HANDSHAKES_PER_HOST)]
        return [attempt for attempt in attempts if attempt is not None]


def test_one_host_cannot_take_all_places() -> None:
    crowd = Crowd()
    assert len(crowd.fill()) == MAX_HANDSHAKES_PER_HOST
    assert [crowd.come() for _ in range(2)] == [None] * 2
    assert crowd.come("192.0.2.2")
    assert crowd.admission.turned_away == 2


def test_all_hosts_together_have_so_many() -> None:
    crowd = Crowd()
    admitted = [bool(crowd.come(f"192.0.2.{number}")) for number in range(MAX_HANDSHAKES + 5)]
    assert admitted == [True] * MAX_HANDSHAKES + [False] * 5


def test_a_place_that_was_left_is_free() -> None:
    crowd = Crowd()
    for _ in range(1000):
        attempt = crowd.come()
        assert attempt
        crowd.admission.release(attempt)


def test_a_refusal_takes_no_place() -> None:
    crowd = Crowd()
    admitted = crowd.fill()
    for _ in range(100):
        assert not crowd.come()
    for attempt in admitted:
        crowd.admission.release(attempt)
    assert crowd.come()


def test_one_that_is_not_done_in_time_makes_room_the_oldest_first() -> None:
    crowd = Crowd()
    first, *_ = crowd.fill(now=0.0)
    second = list(crowd.admission._attempts)[1]
    assert not crowd.come(now=PATIENCE - 0.1)
    assert crowd.come(now=PATIENCE)
    assert crowd.come(now=PATIENCE)
    assert crowd.ended == [first, second]


def test_one_that_made_room_and_then_ends_takes_no_place_away() -> None:
    crowd = Crowd()
    first, *_ = crowd.fill(now=0.0)
    assert crowd.come(now=PATIENCE)
    crowd.admission.release(first)
    assert len(crowd.admission._attempts) == MAX_HANDSHAKES_PER_HOST


def test_it_is_never_another_host_that_makes_room_for_one_that_has_its_share() -> None:
    crowd = Crowd()
    crowd.fill("192.0.2.2", now=0.0)
    crowd.fill("192.0.2.1", now=10.0)
    assert not crowd.come("192.0.2.1", now=10.0)
    assert crowd.ended == []


def test_when_all_places_are_taken_the_oldest_of_all_makes_room() -> None:
    crowd = Crowd()
    for number in range(MAX_HANDSHAKES // MAX_HANDSHAKES_PER_HOST):
        crowd.fill(f"192.0.2.{number}", now=float(number))
    assert crowd.come("192.0.2.99", now=10.0)
    assert [attempt.host for attempt in crowd.ended] == ["192.0.2.0"]


def test_the_first_of_a_kind_is_said_then_one_an_interval() -> None:
    repetitions = Repetitions()
    said = [repetitions.count("192.0.2.1", "proof", float(second)) for second in range(int(SAY_INTERVAL) * 2 + 1)]
    assert [unsaid for unsaid in said if unsaid is not None] == [0, 59, 59]


def test_another_host_or_another_reason_is_another_kind() -> None:
    repetitions = Repetitions()
    assert repetitions.count("192.0.2.1", "proof", 0.0) == 0
    assert repetitions.count("192.0.2.1", "timeout", 0.0) == 0
    assert repetitions.count("192.0.2.2", "proof", 0.0) == 0


def test_a_million_hosts_are_not_remembered() -> None:
    repetitions = Repetitions()
    for number in range(10_000):
        repetitions.count(str(number), "proof", 0.0)
    assert len(repetitions._said) <= 256
