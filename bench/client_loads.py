"""What a crowd does to a service, and what comes of it.

Each load has documents of its own and leaves nobody behind. Where it takes two servers and a service has one, it
is None.
"""

import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from bench.crowd import ASK, CONFIRMED, Client, crowd, large, mark, presence, set_often, text_of, typed
from bench.services import Service

_WINDOW = 5.0
"""Seconds that a steady load lasts."""
_FIRST = 30
"""Updates that are not counted where a latency is measured: servers and crowd run code then that has never run."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One value of a load; `numbers` are all that were taken, and `share` says which of them tells most."""

    what: str
    numbers: Sequence[float]
    unit: str
    target: float | None
    share: float = 0.5
    more_is_better: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    values: Sequence[Measured]


class Stamps:
    """When marks were sent, and how long each took to each of those who listen. A mark counts once for each."""

    def __init__(self, listeners: Iterable[Client]) -> None:
        self.sent: dict[int, float] = {}
        self.times: list[float] = []
        self._has: dict[Client, set[int]] = {client: set() for client in listeners}
        for client in self._has:
            client.heard = self._heard

    def missing(self, marks: range) -> int:
        """How many of these have not come, summed over all who listen."""
        return sum(len(marks) - sum(map(has.__contains__, marks)) for has in self._has.values())

    def count_to(self, count: int) -> bool:
        """Whether so many marks have come in all."""
        return len(self.times) >= count

    def has(self, client: Client, number: int) -> bool:
        return number in self._has[client]

    def _heard(self, client: Client, marks: Sequence[bytes], now: float) -> None:
        has = self._has[client]
        for number in map(int, marks):
            if number in self.sent and number not in has:
                has.add(number)
                self.times.append(1000 * (now - self.sent[number]))


# Latency --------------------------------------------------------------------------------------------------------


def across(service: Service, document: str, quick: bool) -> Result | None:
    """From a writer to a reader at another server."""
    return None if service.servers < 2 else _latency(service, document, 1, "to another server", (2.0, 6.0), quick)


def same(service: Service, document: str, quick: bool) -> Result | None:
    """From a writer to a reader at the same server."""
    return _latency(service, document, 0, "at the same server", (1.0, 2.5), quick)


def _latency(
    service: Service, document: str, at: int, what: str, targets: tuple[float, float], quick: bool
) -> Result | None:
    with crowd() as people:
        (writer,) = people.join(service.place(document, 0))
        (reader,) = people.join(service.place(document, at))
        times = []
        for number, update in enumerate(typed(range(_FIRST + (100 if quick else 1000)))):
            started = time.perf_counter()
            people.send(writer, update)
            people.run(partial(_has_seen, reader, number))
            times.append(1000 * (time.perf_counter() - started))
            people.idle(random.uniform(0.001, 0.004))
    p50, p99 = targets
    times = times[_FIRST:]
    return Result((Measured(f"{what}, p50", times, "ms", p50), Measured(f"{what}, p99", times, "ms", p99, 0.99)))


# Many -----------------------------------------------------------------------------------------------------------


def fan_out(service: Service, document: str, quick: bool) -> Result | None:
    """One writer at a human's pace, many readers."""
    with crowd() as people:
        (writer,) = people.join(service.place(document, 0))
        stamps = Stamps(people.join(service.place(document, 0), 200))
        for number, update in enumerate(typed(range(20 if quick else 100))):
            stamps.sent[number] = time.perf_counter()
            people.send(writer, update)
            people.run(partial(stamps.count_to, 200 * (number + 1)))
            people.idle(0.02)
    return Result((Measured("one writer, 200 readers, p99", stamps.times, "ms", 10.0, 0.99),))


def burst(service: Service, document: str, quick: bool) -> Result | None:
    """One writer sends all that it has at once, to many readers. One reader's text is checked."""
    count, readers = (500, 50) if quick else (2000, 200)
    updates, place = typed(range(count)), service.place(document, 0)
    with crowd() as people:
        (writer,) = people.join(place)
        reading = people.join(place, readers)
        reading[-1].kept = bytearray()
        started = time.perf_counter()
        people.send(writer, *updates)
        people.run(lambda: all(reader.seen == count - 1 for reader in reading))
        rate = readers * count / (time.perf_counter() - started)
        _check_text(reading[-1], count)
    return Result((Measured("burst to 200 readers, complete", [rate], "/s", 900_000.0, more_is_better=True),))


def busy(service: Service, document: str, quick: bool) -> Result | None:
    """Many write at a human's pace, and as many only read."""
    window = 1.0 if quick else _WINDOW
    rounds = round(5 * window)
    with crowd() as people:
        writers = people.join(service.place(document, 0), 50)
        stamps = Stamps(people.join(service.place(document, 0), 50))
        updates = [set_often(range(client, 50 * rounds, 50), client + 1) for client in range(50)]
        used, started = service.cpu(), time.perf_counter()
        for number in range(50 * rounds):
            people.idle(started + number / 250 - time.perf_counter())
            stamps.sent[number] = time.perf_counter()
            people.send(writers[number % 50], updates[number % 50][number // 50])
        people.run(lambda: not stamps.missing(range(50 * rounds - 50, 50 * rounds)))
        used = (service.cpu() - used) * _WINDOW / window
    return Result(
        (
            Measured("50 writers at 5/s and 50 readers, p99", stamps.times, "ms", 8.0, 0.99),
            Measured("50 writers at 5/s and 50 readers, CPU of 5 s", [used], "s", 2.9),
        )
    )


def presence_of_many(service: Service, document: str, quick: bool) -> Result | None:
    """Clients who tell once a second where they are; the last that each tells must reach all others."""
    rounds, many = (2 if quick else int(_WINDOW)), 200
    with crowd() as people:
        everybody = people.join(service.place(document, 0), many)
        stamps = Stamps(everybody)
        used, started = service.cpu(), time.perf_counter()
        for number in range(many * rounds):
            people.idle(started + number / many - time.perf_counter())
            stamps.sent[number] = time.perf_counter()
            state = f'{{"cursor":"{mark(number)}"}}'
            people.send(everybody[number % many], presence(1000 + number % many, number // many + 1, state))
        used = (service.cpu() - used) * _WINDOW / rounds
        people.idle(2.0)
        # Its own state comes back to a client from some servers: that is left out of what is missing, if it is.
        last = range(many * (rounds - 1), many * rounds)
        own = sum(not stamps.has(client, last[number]) for number, client in enumerate(everybody))
        undelivered = float(stamps.missing(last) - own)
    what = "awareness of 200 clients at 1/s"
    return Result(
        (
            Measured(f"{what}, undelivered final states", [undelivered], "", 0.0, 1.0),
            Measured(f"{what}, p99", stamps.times, "ms", 50.0, 0.99),
            Measured(f"{what}, CPU of 5 s", [used], "s", 1.5),
        )
    )


# Much -----------------------------------------------------------------------------------------------------------


def join_1(service: Service, document: str, _quick: bool) -> Result | None:
    """Many come to a document of 1 MB at once."""
    return _join(service, document, 1, (250.0, None))


def join_4(service: Service, document: str, quick: bool) -> Result | None:
    """Many come to a document of 4 MB at once."""
    return None if quick else _join(service, document, 4, (1200.0, 60.0))


def _join(service: Service, document: str, megabytes: int, targets: tuple[float, float | None]) -> Result:
    place = service.place(document, 0)
    with crowd() as people:
        (writer,) = people.join(place)
        (reader,) = people.join(place)
        people.send(writer, *large(megabytes * 2**20, 1))
        people.run(lambda: reader.seen == 1)
        joining = people.join(place, 50, asks=False)
        stamps = Stamps(joining)
        people.idle(1.0)
        before = service.resident()
        service.forget_peak()
        stamps.sent[1] = time.perf_counter()
        for client in joining:
            people.send(client, ASK)
        people.run(lambda: not stamps.missing(range(1, 2)))
        added = service.peak() - before
    what = f"50 join {megabytes} MB"
    return Result(
        (
            Measured(f"{what}, p99", stamps.times, "ms", targets[0], 0.99),
            Measured(f"{what}, memory added at its peak", [added], "MB", targets[1]),
        )
    )


def typing(service: Service, document: str, quick: bool) -> Result | None:
    """One client sends many small updates, until all are at a client of another server and the first has confirmed
    every one of them: ours does so once it is on the disk, Hocuspocus once it is merged."""
    if service.confirming is None:
        return None
    count = 2000 if quick else 20_000
    updates = typed(range(count))
    with crowd() as people:
        (writer,) = people.join(service.confirming(document, 0))
        (reader,) = people.join(service.confirming(document, 1))
        confirmed = writer.prefix + CONFIRMED
        writer.kept, reader.kept = bytearray(), bytearray()
        started = time.perf_counter()
        people.send(writer, *updates)
        people.run(lambda: reader.seen == count - 1)
        people.run(lambda: writer.kept is not None and writer.kept.count(confirmed) >= count)
        rate = count / (time.perf_counter() - started)
        _check_text(reader, count)
    what = "small updates until at another server and confirmed"
    return Result((Measured(what, [rate], "/s", 10_000.0, more_is_better=True),))


# Memory ---------------------------------------------------------------------------------------------------------


def idle(service: Service, _document: str, _quick: bool) -> Result | None:
    """Nobody is there; all that the service needs counts."""
    return Result((Measured("idle memory a server", [service.resident() / service.servers], "MB", 85.0),))


def thousand(service: Service, document: str, quick: bool) -> Result | None:
    """Many clients who do nothing, ten at each document."""
    count = 200 if quick else 1000
    before = service.resident()
    with crowd() as people:
        for number in range(count // 10):
            people.join(service.place(f"{document}-{number}", 0), 10)
        people.idle(1.0)
        added = (service.resident() - before) * 1000 / count
    return Result((Measured("1,000 idle clients", [added], "MB", 40.0),))


def _has_seen(reader: Client, number: int) -> bool:
    return reader.seen >= number


def _check_text(reader: Client, count: int) -> None:
    assert reader.kept is not None
    if text_of(bytes(reader.kept), reader.prefix) != "".join(map(mark, range(count))):
        raise RuntimeError("a reader's text is not what was written")
