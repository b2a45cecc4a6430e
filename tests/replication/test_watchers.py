"""Whoever follows documents on one node hears of every change, in the order of merging."""

import random

import trio
from fakes.replicas import Replica, linked, until_equal
from trio.testing import MockClock

from peatd.entry import Entry
from peatd.names import DeviceId, DocumentName

NOTES = DocumentName("notes/today")


class Diary:
    """A watcher that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, DocumentName, int, bool]] = []

    def begun(self, entry: Entry, origin: DeviceId | None) -> None:
        self._write("begun", entry, is_ours=origin is None)

    def changed(self, entry: Entry, update: bytes, origin: DeviceId | None) -> None:
        self._write("changed", entry, is_ours=origin is None)

    def ended(self, entry: Entry, origin: DeviceId | None) -> None:
        self._write("ended", entry, is_ours=origin is None)

    def _write(self, event: str, entry: Entry, *, is_ours: bool) -> None:
        self.told.append((event, entry.name, entry.incarnation, is_ours))


async def test_changes_of_our_own_and_of_peers_are_told_in_order(autojump_clock: MockClock) -> None:
    seed, diary = random.Random(1), Diary()
    async with Replica("alice", seed).running() as alice, Replica("bob", seed).running() as bob:
        bob.replication.watch(diary)
        async with linked(alice, bob):
            await alice.library.put(NOTES, {"a": 1}, if_match=None)
            await until_equal(alice, bob)
            await bob.library.patch(NOTES, {"b": 2}, if_match=None)
            await until_equal(alice, bob)
            await alice.library.delete(NOTES, if_match=None)
            await trio.sleep(1)  # of the mock clock
            assert bob.library.count() == 0
            await bob.library.put(NOTES, {"c": 3}, if_match=None)
    assert diary.told == [
        ("begun", NOTES, 1, False),
        ("changed", NOTES, 1, False),
        ("changed", NOTES, 1, True),
        ("ended", NOTES, 1, False),
        ("begun", NOTES, 2, True),
        ("changed", NOTES, 2, True),
    ]


async def test_what_brings_nothing_is_not_told(autojump_clock: MockClock) -> None:
    diary = Diary()
    async with Replica("alice", random.Random(1)).running() as alice:
        await alice.library.put(NOTES, {"a": 1}, if_match=None)
        alice.replication.watch(diary)
        await alice.library.put(NOTES, {"a": 1}, if_match=None)
    assert diary.told == []
