"""What is asked next, and who is to blame: two ends of a pipe as values, no process."""

import pytest
from fakes.log import Row, Rows

from peatd.engine.protocol import (
    Apply,
    BadRow,
    Close,
    Done,
    Encoded,
    Frames,
    Merged,
    NotOpen,
    Open,
    Opened,
    Panicked,
    decode_request,
)
from peatd.errors import Barred, Quarantined, Unavailable
from peatd.names import DocumentKey
from peatd.open_documents import OpenDocuments
from peatd.schedule import Schedule
from peatd.suspicion import Blame
from peatd.worker_jobs import Death, Job, Load, Task

A, B, C = (DocumentKey(f"notes/{name}", 1) for name in "abc")
MERGED = Merged(b"news", {}, {}, {}, {})
EMPTY = Rows(None, ())


class Pipe:
    """A schedule, and the engine's end of its pipe."""

    def __init__(self, **limits) -> None:
        self.quarantined: list[tuple] = []
        self.outcomes: list[tuple[str, object]] = []
        documents = OpenDocuments(limits.get("limit", 10), limits.get("limit_bytes", 1000))
        self.starved: list[str] = []
        blame = Blame(
            lambda key, update, *, origin, reason, seq=None: self.quarantined.append((key, update, seq)),
            print,
            memory_bytes=limits.get("memory_bytes", 10_000),
            full=self.starved.append,
        )
        self.schedule = Schedule(documents, blame)
        self.logs: dict[DocumentKey, Rows] = {}
        self.loads: list[list[DocumentKey]] = []

    def quarantine(self, key, update, *, origin, reason, seq=None) -> None:  # the log's signature
        self.quarantined.append((key, update, seq))

    def submit(self, key: DocumentKey, name: str, task: Task = Task.APPLY, *, whole_bytes: int = 0) -> None:
        self.schedule.submit(
            Job(
                key,
                task,
                lambda number: Apply(number, name.encode()),
                lambda reply: self.outcomes.append((name, reply)),
                lambda error: self.outcomes.append((name, error)),
                size_bytes=1,
                culprit=lambda: name.encode(),
                whole_bytes=whole_bytes,
            )
        )

    def sent(self) -> list:
        """All that is sent until nothing more may be."""
        frames = Frames()
        requests = []
        while (step := self.schedule.decide()) is not None:
            if isinstance(step, Load):
                self.loads.append(list(step.keys))
                step = self.schedule.loaded(step, {key: self.logs.get(key, EMPTY) for key in step.keys})
            requests += map(decode_request, frames.receive(step))
        return requests

    def answer(self, *replies) -> None:
        for reply in replies:
            self.schedule.answered(reply)

    def names(self) -> list[str]:
        return [name for name, _ in self.outcomes]


def test_document_is_opened_before_it_is_asked():
    pipe = Pipe()
    pipe.logs[A] = Rows(b"snapshot", (Row(1, b"row"),))
    pipe.submit(A, "1")
    pipe.submit(A, "2")

    assert pipe.sent() == [Open(1, b"snapshot", [b"row"]), Apply(1, b"1"), Apply(1, b"2")]
    pipe.answer(Opened(b""), MERGED, MERGED)
    assert pipe.outcomes == [("1", MERGED), ("2", MERGED)]
    assert pipe.schedule.waiting == pipe.schedule.waiting_bytes == 0


@pytest.mark.parametrize("rows", [Rows(b"whole", ()), Rows(None, (Row(1, b"whole"),))])
def test_all_of_a_closed_document_that_is_in_one_piece_needs_no_engine(rows):
    pipe = Pipe()
    pipe.logs[A] = rows
    pipe.submit(A, "1", Task.DIFF, whole_bytes=100)
    pipe.submit(A, "2")

    assert [type(request) for request in pipe.sent()] == [Open, Apply]
    assert pipe.outcomes == [("1", Encoded(b"whole"))]
    assert pipe.schedule.waiting_bytes == 1


def keys(count: int) -> list[DocumentKey]:
    return [DocumentKey(f"notes/{number:03}", 1) for number in range(count)]


def test_documents_that_are_asked_for_in_whole_are_loaded_together():
    pipe = Pipe()
    pipe.logs = dict.fromkeys(keys(100), Rows(b"whole", ()))
    for key in keys(100):
        pipe.submit(key, key.name, Task.DIFF, whole_bytes=100)

    assert pipe.sent() == []
    assert pipe.outcomes == [(key.name, Encoded(b"whole")) for key in keys(100)]
    assert [len(load) for load in pipe.loads] == [64, 36]


def test_once_that_was_in_vain_first_a_few_are_loaded_together():
    pipe = Pipe()
    pipe.logs = dict.fromkeys(keys(100), Rows(b"whole", ())) | {A: Rows(b"snapshot", (Row(1, b"row"),))}
    for key in (A, *keys(100)):
        pipe.submit(key, key.name, Task.DIFF, whole_bytes=100)

    assert [type(request) for request in pipe.sent()] == [Open, Apply]
    assert [len(load) for load in pipe.loads] == [64, 1, 2, 4, 8, 16, 32, 37]


def test_no_more_is_loaded_at_once_than_is_of_use():
    pipe = Pipe(limit=1000)
    for number, key in enumerate(keys(100)):
        pipe.logs[key] = Rows(b"snapshot", (Row(1, b"row"),)) if number % 2 else Rows(b"whole", ())
        pipe.submit(key, key.name, Task.DIFF, whole_bytes=100)

    assert [type(request) for request in pipe.sent()] == [Open, Apply] * 50
    assert sum(map(len, pipe.loads)) <= 64 + 2 * 100


def test_two_who_ask_for_the_same_are_answered_with_one_load():
    pipe = Pipe()
    pipe.logs[A] = Rows(b"whole", ())
    pipe.submit(A, "1", Task.DIFF, whole_bytes=100)
    pipe.submit(A, "2", Task.DIFF, whole_bytes=100)

    assert pipe.sent() == []
    assert pipe.names() == ["1", "2"]
    assert pipe.loads == [[A]]


def test_log_that_was_loaded_with_others_is_of_no_use_where_a_change_comes_first():
    pipe = Pipe()
    pipe.logs = dict.fromkeys((A, B), Rows(b"whole", ()))
    pipe.submit(A, "1", Task.DIFF, whole_bytes=100)
    pipe.submit(B, "2")
    pipe.submit(B, "3", Task.DIFF, whole_bytes=100)

    assert [type(request) for request in pipe.sent()] == [Open, Apply, Apply]
    assert pipe.loads == [[A, B], [B]]
    assert pipe.names() == ["1"]


def test_of_what_is_open_or_unanswered_nothing_is_loaded():
    pipe = Pipe()
    pipe.logs = {key: Rows(b"whole", ()) for key in (B, C)}
    pipe.submit(A, "1")
    pipe.sent()
    for key, name in ((B, "2"), (C, "3"), (A, "4")):
        pipe.submit(key, name, Task.DIFF, whole_bytes=100)

    assert [type(request) for request in pipe.sent()] == [Apply]
    assert pipe.loads == [[A], [B], [C]]


def test_all_of_an_open_or_cut_up_document_is_the_engines_to_tell():
    pipe = Pipe()
    pipe.logs[A] = Rows(b"snapshot", (Row(1, b"row"),))
    pipe.submit(A, "1", Task.DIFF, whole_bytes=100)
    pipe.submit(B, "2")
    pipe.submit(B, "3", Task.DIFF, whole_bytes=100)

    assert [type(request) for request in pipe.sent()] == [Open, Apply, Open, Apply, Apply]
    assert not pipe.outcomes


def test_all_of_a_document_in_one_piece_that_is_too_large_is_the_engines_to_cut():
    pipe = Pipe()
    pipe.logs[A] = Rows(b"snapshot", ())
    pipe.submit(A, "1", Task.DIFF, whole_bytes=len(b"snapshot") - 1)

    assert [type(request) for request in pipe.sent()] == [Open, Apply]


def test_invariant_1_no_job_is_lost_or_done_twice_when_the_process_dies():
    pipe = Pipe()
    for name in "123":
        pipe.submit(A, name)
    pipe.sent()
    pipe.submit(A, "4")
    pipe.answer(Opened(b""), MERGED)

    pipe.schedule.died("killed", Death.OUTSIDE)
    while requests := pipe.sent():
        pipe.answer(*(Opened(b"") if isinstance(request, Open) else MERGED for request in requests))

    assert pipe.names() == ["1", "2", "3", "4"]


def test_invariant_2_and_3_after_a_death_the_unanswered_are_asked_alone_and_in_order():
    pipe = Pipe()
    for key, name in ((A, "a1"), (B, "b1"), (A, "a2")):
        pipe.submit(key, name)
    pipe.sent()

    pipe.schedule.died("abort", Death.CRASH)

    for expected, reply in [
        ([Open], Opened(b"")),
        ([b"a1"], MERGED),
        ([Open], Opened(b"")),
        ([b"b1"], MERGED),
        ([b"a2"], MERGED),
    ]:
        (request,) = pipe.sent()
        assert [Open if isinstance(request, Open) else request.update] == expected
        pipe.answer(reply)
    assert pipe.names() == ["a1", "b1", "a2"]
    assert not pipe.quarantined


def test_what_kills_alone_is_quarantined():
    pipe = Pipe()
    pipe.submit(A, "evil")
    pipe.sent()
    pipe.schedule.died("abort", Death.CRASH)
    pipe.sent()
    pipe.answer(Opened(b""))
    pipe.sent()

    pipe.schedule.died("abort", Death.CRASH)

    assert pipe.quarantined == [(A, b"evil", None)]
    assert isinstance(pipe.outcomes[0][1], Quarantined)


def test_what_hangs_with_nothing_else_on_its_way_is_not_tried_again():
    pipe = Pipe()
    pipe.submit(A, "good")
    pipe.sent()
    pipe.answer(Opened(b""), MERGED)
    pipe.submit(A, "evil")
    pipe.sent()

    pipe.schedule.died("hung", Death.HANG)

    assert pipe.quarantined == [(A, b"evil", None)]
    assert pipe.sent() == []


def test_what_hangs_first_of_many_is_not_tried_again_if_the_engine_answers_all_before_it():
    pipe = Pipe()
    large = "x" * 20_000
    for name in ("1", large, "2"):
        pipe.submit(A, name)
    pipe.sent()
    pipe.answer(Opened(b""), MERGED)

    pipe.schedule.died("hung", Death.HANG)

    assert pipe.quarantined == [(A, large.encode(), None)]
    assert [type(request) for request in pipe.sent()] == [Open]
    pipe.answer(Opened(b""))
    assert pipe.sent() == [Apply(2, b"2")]


def test_what_hangs_among_small_ones_is_found_by_trying_each_alone():
    pipe = Pipe()
    for name in "12":
        pipe.submit(A, name)
    pipe.sent()
    pipe.answer(Opened(b""))

    pipe.schedule.died("hung", Death.HANG)

    assert not pipe.quarantined
    assert [type(request) for request in pipe.sent()] == [Open]


def test_panic_is_retried_alone_behind_a_fresh_open_and_what_follows_keeps_its_place():
    pipe = Pipe()
    for name in "123":
        pipe.submit(A, name)
    pipe.sent()
    pipe.answer(Opened(b""), Panicked("Length exceeded"), NotOpen(), NotOpen())

    asked = []
    while requests := pipe.sent():
        (request,) = requests
        asked.append(type(request) if isinstance(request, Open) else request.update)
        pipe.answer(Opened(b"") if isinstance(request, Open) else MERGED)

    assert asked == [Open, b"1", b"2", b"3"]
    assert pipe.names() == ["1", "2", "3"]


def test_invariant_4_no_log_is_loaded_while_its_document_has_unanswered_requests():
    pipe = Pipe()
    pipe.submit(A, "1")
    pipe.submit(A, "close", Task.CLOSE)
    pipe.submit(A, "2")

    assert [type(request) for request in pipe.sent()] == [Open, Apply, Close]
    assert pipe.loads == [[A]]
    pipe.answer(Opened(b""), MERGED)
    assert pipe.sent() == []
    pipe.answer(Done())
    assert [type(request) for request in pipe.sent()] == [Open, Apply]


def test_document_asked_about_longest_ago_is_closed_for_another():
    pipe = Pipe(limit=2)
    for key in (A, B, A, C):
        pipe.submit(key, key.name)
        answers = {Open: Opened(b""), Apply: MERGED, Close: Done()}
        pipe.answer(*(answers[type(request)] for request in pipe.sent()[:9]))

    assert pipe.loads == [[A], [B], [C]]
    pipe.submit(B, "again")
    assert Close in [type(request) for request in pipe.sent()]


def test_bad_row_is_quarantined_and_the_document_opened_without_it():
    pipe = Pipe()
    pipe.logs[A] = Rows(None, (Row(1, b"good"), Row(2, b"bad")))
    pipe.submit(A, "1")
    pipe.sent()
    pipe.logs[A] = Rows(None, (Row(1, b"good"),))
    pipe.answer(BadRow(1, "damaged"), NotOpen())

    assert pipe.quarantined == [(A, b"bad", 2)]
    assert pipe.sent() == [Open(2, b"", [b"good"])]


@pytest.mark.parametrize("death", Death)
def test_a_process_that_always_dies_is_given_up_on(death):
    pipe = Pipe()
    pipe.logs[A] = Rows(None, (Row(1, b"row"),))
    pipe.submit(A, "1")
    for _ in range(30):
        pipe.sent()
        pipe.schedule.died("no memory", death)

    assert isinstance(pipe.outcomes[0][1], Unavailable)
    assert pipe.schedule.waiting == 0


def test_a_document_that_hangs_when_opened_though_each_row_merges_is_barred():
    pipe = Pipe()
    pipe.logs[A] = Rows(None, (Row(1, b"1"), Row(2, b"2")))
    pipe.submit(A, "asked")
    pipe.sent()
    pipe.schedule.died("hung", Death.HANG)
    while requests := pipe.sent():
        if requests[0] == Open(3, b"", [b"1", b"2"]):
            break
        pipe.answer(*(Opened(b"") if isinstance(request, Open) else MERGED for request in requests))

    pipe.schedule.died("hung", Death.HANG)

    assert pipe.sent() == []
    assert isinstance(pipe.outcomes[0][1], Barred)
    assert not pipe.quarantined


def starve(pipe: Pipe) -> None:
    """Whatever is on its way takes more memory than there is."""
    while pipe.sent():
        pipe.schedule.died("memory allocation of 960000 bytes failed", Death.MEMORY)


def test_what_is_too_large_for_our_memory_waits_and_is_not_set_aside():
    pipe = Pipe()
    pipe.logs[A] = Rows(b"s" * 5000, ())
    pipe.submit(A, "1", Task.READ)
    starve(pipe)
    assert pipe.quarantined == []
    (failed,) = pipe.outcomes
    assert isinstance(failed[1], Barred)
    assert len(pipe.starved) == 1
    pipe.submit(B, "2")
    assert [type(request) for request in pipe.sent()] == [Open, Apply]


def test_it_is_tried_again_ever_more_seldom():
    pipe = Pipe()
    pipe.logs[A] = Rows(b"s" * 5000, ())
    tries = []
    for n in range(40):
        pipe.submit(A, str(n))
        if requests := pipe.sent():
            tries.append(n)
            while requests:
                pipe.schedule.died("MemoryError", Death.MEMORY)
                requests = pipe.sent()
    assert tries == [0, 2, 6, 14, 30]
    assert all(isinstance(outcome, Barred) for _, outcome in pipe.outcomes)
    assert pipe.quarantined == []


def test_what_takes_all_memory_though_it_is_small_is_set_aside():
    pipe = Pipe(memory_bytes=2**30)
    pipe.submit(A, "bomb")
    for _ in range(2):  # once more alone, as something else may have taken the memory
        pipe.sent()
        pipe.answer(Opened(b""))
        pipe.sent()
        pipe.schedule.died("memory allocation of 1 bytes failed", Death.MEMORY)
    assert pipe.quarantined == [(A, b"bomb", None)]


def test_many_slow_requests_of_one_are_not_all_on_their_way_at_once():
    pipe = Pipe()
    pipe.logs[A] = Rows(b"s" * 3_000_000, ())
    for n in range(50):
        pipe.submit(A, str(n), Task.READ)
    assert [type(request) for request in pipe.sent()] == [Open, Apply]
    pipe.answer(Opened(b""))
    assert pipe.sent() == []
    pipe.answer(MERGED)
    assert len(pipe.sent()) == 1
