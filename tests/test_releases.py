"""Nobody lets go of what is not elsewhere, whatever the nodes take for who is to hold it."""

import random

import pytest

from peatd.names import DeviceId, DocumentName
from peatd.releases import ROUND, Releases

NOTES = DocumentName("notes/today")
DEVICES = [DeviceId(name) for name in ("alice", "bob", "carol", "dave")]
WHIMS = [*["asks"] * 2, *["answers"] * 3, *["hears"] * 3, "waits", "needs", "fetches"]


class Walk:
    """Nodes that need a document, or not, at every whim. What they ask and answer arrives in any order, late, or never.

    The document itself does not change: a grant is for what the one who asks has.
    """

    def __init__(self, seed: int, needed: int) -> None:
        self.chance = random.Random(seed)
        self.needed = needed
        self.now = 0.0
        self.holding = set(DEVICES[: needed + 1])
        self.releases = {device: Releases() for device in DEVICES}
        self.asked: list[tuple[DeviceId, DeviceId, int]] = []
        self.granted: list[tuple[DeviceId, DeviceId, int]] = []

    def is_granted(self, by: DeviceId) -> bool:
        return by in self.holding and not self.releases[by].is_pending(NOTES)

    def step(self) -> None:
        chance, device = self.chance, self.chance.choice(DEVICES)
        releases = self.releases[device]
        match chance.choice(WHIMS):
            case "asks" if device in self.holding and releases.may_begin(NOTES, self.now):
                number = releases.begin(NOTES, 1, self.needed, self.now)
                self.asked += [(device, other, number) for other in DEVICES if other != device]
            case "answers" if self.asked:
                asking, other, number = self.asked.pop(chance.randrange(len(self.asked)))
                if self.is_granted(other):
                    self.granted.append((asking, other, number))
            case "hears" if self.granted:
                asking, other, number = self.granted.pop(chance.randrange(len(self.granted)))
                if asking in self.holding and self.releases[asking].granted(NOTES, other, number, 1):
                    self.holding.discard(asking)
            case "waits":
                self.now += chance.choice((0.1, 0.1, ROUND))
                for each in self.releases.values():
                    each.expire(self.now, 0.0)
            case "needs":
                releases.void(NOTES)
            case "fetches":
                self.holding.add(device)


def walk(seed: int, kind: type[Walk] = Walk) -> int:
    """How few held the document at any time, above those that are needed."""
    each = kind(seed, needed=seed % 3 + 1)
    fewest = len(each.holding)
    for _ in range(60):
        each.step()
        fewest = min(fewest, len(each.holding))
    return fewest - each.needed


def test_enough_hold_it_whatever_happens() -> None:
    fewest = [walk(seed) for seed in range(3000)]
    assert min(fewest) == 0, "somebody let go, and nobody whom others needed"


def test_that_who_is_in_a_round_grants_nothing_is_why() -> None:
    class Careless(Walk):
        def is_granted(self, by: DeviceId) -> bool:
            return by in self.holding

    assert min(walk(seed, Careless) for seed in range(3000)) < 0


def test_that_rounds_that_are_over_count_no_more_is_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Releases, "granted", _granted_for_ever)
    assert min(walk(seed) for seed in range(3000)) < 0


def _granted_for_ever(releases: Releases, name: DocumentName, device_id: DeviceId, number: int, _version: int) -> bool:
    found = releases._rounds.get(name)
    if found is not None:
        found.number = number
    return found is not None and _granted(releases, name, device_id, number, 1)


_granted = Releases.granted


def test_a_grant_counts_in_its_round_and_for_its_version() -> None:
    releases = Releases()
    first = releases.begin(NOTES, 7, 1, 0.0)
    assert not releases.granted(NOTES, DEVICES[0], first, 8)
    releases.expire(ROUND, 2.0)
    assert not releases.may_begin(NOTES, ROUND + 1)
    assert releases.may_begin(NOTES, ROUND + 2)
    second = releases.begin(NOTES, 7, 2, ROUND + 2)
    assert not releases.granted(NOTES, DEVICES[0], first, 7)
    assert not releases.granted(NOTES, DEVICES[0], second, 7)
    assert not releases.granted(NOTES, DEVICES[0], second, 7)  # one node counts once
    assert releases.granted(NOTES, DEVICES[1], second, 7)
    assert len(releases) == 0
