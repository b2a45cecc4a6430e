"""How long an engine may be silent: looks at a pretend process."""

from peatd.patience import Patience, Vitals
from peatd.worker_jobs import Death

SMALL = 0
LARGE = 20_000_000


def looks(patience: Patience, seconds: int, *, busy: float, size_bytes: int | None = SMALL, heard: int = 0, start=0):
    """A look a second at a process that has `busy` of the processor; the first verdict, and when."""
    for second in range(start, start + seconds + 1):
        if verdict := patience.look(heard, size_bytes, Vitals(second, second * busy, is_stopped=False)):
            return verdict, second
    return None


def test_what_works_and_does_not_answer_hangs():
    verdict, second = looks(Patience(2.0), 100, busy=1.0)

    assert verdict.death is Death.HANG
    assert second == 2


def test_processor_time_counts_and_not_the_clock():
    _, second = looks(Patience(2.0), 100, busy=0.1)

    assert second == 20


def test_a_large_document_may_take_longer():
    _, second = looks(Patience(2.0), 100, busy=1.0, size_bytes=LARGE)

    assert second == 22


def test_what_gets_no_processor_time_is_nobodys_fault():
    verdict, second = looks(Patience(2.0), 100, busy=0.01)

    assert verdict.death is Death.OUTSIDE
    assert second == 10


def test_silence_is_measured_from_the_last_word():
    patience = Patience(2.0)

    for heard in range(10):
        assert looks(patience, 1, busy=1.0, heard=heard, start=heard * 2) is None


def test_nobody_waits():
    assert looks(Patience(2.0), 100, busy=1.0, size_bytes=None) is None


def test_stopped_is_seen_twice():
    patience = Patience(600.0)

    verdicts = [patience.look(0, SMALL, Vitals(second, 1.0, is_stopped=True)) for second in range(3)]

    assert [verdict and verdict.death for verdict in verdicts] == [None, None, Death.OUTSIDE]


def test_looks_are_close_enough_for_the_deadline():
    assert Patience(0.2).interval == 0.1
    assert Patience(600.0).interval == 1.0
