"""Who may try a handshake, and what is worth a line in the log."""

from peatd.transport.admission import (
    MAX_HANDSHAKES,
    MAX_HANDSHAKES_PER_HOST,
    SAY_INTERVAL,
    Admission,
    Repetitions,
)


def test_one_host_cannot_take_all_places() -> None:
    admission = Admission()
    assert [admission.admit("192.0.2.1") for _ in range(10)] == [True] * MAX_HANDSHAKES_PER_HOST + [False] * 2
    assert admission.admit("192.0.2.2")
    assert admission.turned_away == 2


def test_all_hosts_together_have_so_many() -> None:
    admission = Admission()
    admitted = [admission.admit(f"192.0.2.{number}") for number in range(MAX_HANDSHAKES + 5)]
    assert admitted == [True] * MAX_HANDSHAKES + [False] * 5


def test_a_place_that_was_left_is_free() -> None:
    admission = Admission()
    for _ in range(1000):
        assert admission.admit("192.0.2.1")
        admission.release("192.0.2.1")
    assert admission._per_host == {}


def test_a_refusal_takes_no_place() -> None:
    admission = Admission()
    for _ in range(100):
        admission.admit("192.0.2.1")
    for _ in range(MAX_HANDSHAKES_PER_HOST):
        admission.release("192.0.2.1")
    assert admission.admit("192.0.2.1")


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
