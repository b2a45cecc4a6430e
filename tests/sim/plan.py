"""What happens in one run: a function of its seed, decided before it begins. Sans-IO.

A run has rounds: in each, steps happen at their times, whatever else is going on; then all that was broken is mended,
and it is quiet until the nodes agree.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

MESHES = ((100, 50), (20, 12), (10, 10), (1, 3))
"""Every so many seeds a mesh of so many nodes."""
_FEW_LINKS = {12: 4}
"""In meshes of that many nodes, the links that one keeps; otherwise what a node keeps if nobody says anything."""

_SMALL, _LARGE = 60, 40_000
"""Characters of a written value: a keystroke, and what makes an update log outgrow its snapshot."""


@dataclass(frozen=True, slots=True)
class Write:
    """A client of the node adds a field to the document, or (`typed`) a word to its text; in the other Yjs library's
    way. `peers`: those that are to have it on disk; -1: it need not even be on this one's. `strikes`: at the moment at
    which the client hears that, there happens the worst that the promise covers."""

    node: str
    document: str
    size_chars: int
    peers: int
    typed: bool
    strikes: bool


@dataclass(frozen=True, slots=True)
class Delete:
    """As a write."""

    node: str
    document: str
    peers: int
    strikes: bool


@dataclass(frozen=True, slots=True)
class Cut:
    """From one to the other (`both`: and back) nothing gets through."""

    here: str
    there: str
    both: bool
    lasts: float


@dataclass(frozen=True, slots=True)
class Isolate:
    """The node is cut off from all others."""

    node: str
    lasts: float


@dataclass(frozen=True, slots=True)
class Slow:
    """One reads from the other so slowly."""

    here: str
    there: str
    pace: float
    lasts: float


@dataclass(frozen=True, slots=True)
class Crash:
    """The process is killed, or (`power`) the machine loses its power; in the middle of the `at_operation`-th thing
    that its disk does from now on, or now (0). `silently`: its peers are not told, not even once it is back.
    `loses_disk`: it comes back with an empty one."""

    node: str
    power: bool
    at_operation: int
    silently: bool
    loses_disk: bool
    lasts: float


@dataclass(frozen=True, slots=True)
class Stop:
    """The node is asked to stop."""

    node: str
    lasts: float


@dataclass(frozen=True, slots=True)
class Fault:
    """The node's disk is full, syncs nothing, or takes so many times as long."""

    node: str
    full: bool
    broken: bool
    slowness: float
    lasts: float


@dataclass(frozen=True, slots=True)
class EngineDies:
    node: str


@dataclass(frozen=True, slots=True)
class ClockJumps:
    """The wall clock of the node does."""

    node: str
    by: float


@dataclass(frozen=True, slots=True)
class Unseen:
    """The discovery of one does not know of the other."""

    here: str
    there: str
    lasts: float


Step = Write | Delete | Cut | Isolate | Slow | Crash | Stop | Fault | EngineDies | ClockJumps | Unseen


@dataclass(frozen=True, slots=True)
class Round:
    """Steps by the second of the round at which they happen, in order."""

    steps: tuple[tuple[float, Step], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens.

    Attributes:
        libraries: by node, the CRDT library that it runs on.
        longest_latency: seconds.
        boot_crashes: the share of starts in which a node loses its power.
        max_links: that a node keeps.
        copies: of each document; None: one on each node.
    """

    seed: int
    libraries: dict[str, str]
    longest_latency: float
    boot_crashes: float
    max_links: int
    rounds: tuple[Round, ...]
    copies: int | None = None

    @property
    def nodes(self) -> list[str]:
        return list(self.libraries)


def mesh_of(seed: int) -> int:
    return next(nodes for every, nodes in MESHES if seed % every == every - 1)


def make_plan(seed: int, size: int | None = None) -> Plan:
    """The plan of a seed; `size`: another number of nodes than it would have."""
    chance = random.Random(f"plan {seed}")
    size = size or mesh_of(seed)
    nodes = [f"peat-mesh-{number}" for number in range(size)]
    mixture = chance.choice((("y-py",), ("y-py",), ("y-py", "pycrdt")))
    libraries = {node: chance.choice(mixture) for node in nodes}
    rounds = 3 if size < 10 else 2 if size < 50 else 1
    maker = _Maker(chance, random.Random(f"hurry {seed}"), nodes)
    latency = chance.choice((0.001, 0.02, 0.2))
    max_links = _FEW_LINKS.get(size, 16)
    boot_crashes = chance.choice((0.0, 0.0, 0.1, 0.3)) if size < 50 else 0.0
    return Plan(seed, libraries, latency, boot_crashes, max_links, tuple(maker.round() for _ in range(rounds)))


class _Maker:
    """Draws steps."""

    def __init__(self, chance: random.Random, hurry: random.Random, nodes: list[str]) -> None:
        self._chance, self._hurry, self._nodes = chance, hurry, nodes
        self._hurries = hurry.choice((0.0, 0.0, 0.0, 0.5))
        self._documents = [f"notes/{number}" for number in range(chance.choice((1, 2, 4, 40)))]
        self._choices: dict[Callable[[], Step], int] = {
            self._write: 60,
            self._delete: 6,
            self._cut: 6,
            self._isolate: 3,
            self._slow: 3,
            self._crash: 8,
            self._stop: 2,
            self._fault: 4,
            self._engine_dies: 3,
            self._clock_jumps: 2,
            self._unseen: 2,
        }
        # Some runs are about some things only: what is rare among all is then frequent.
        for kind in list(self._choices)[1:]:
            self._choices[kind] *= chance.choice((0, 1, 1, 3))
        self._strikes = chance.choice((0.0, 0.05, 0.2))
        self._large = 0.0 if len(nodes) > 10 else chance.choice((0.0, 0.05, 0.5))

    def round(self) -> Round:
        chance = self._chance
        count = chance.randrange(8, 40) if len(self._nodes) < 50 else chance.randrange(6, 14)
        span = chance.choice((0.3, 3.0, 15.0)) if len(self._nodes) < 50 else chance.choice((0.5, 3.0))
        kinds = chance.choices(list(self._choices), list(self._choices.values()), k=count)
        times = sorted(round(chance.uniform(0.0, span), 4) for _ in kinds)
        steps = list(zip(times, [kind() for kind in kinds], strict=True))
        hurried = [self._next(at, step) for at, step in steps if isinstance(step, Write)]
        return Round(tuple(sorted([*steps, *filter(None, hurried)], key=lambda timed: timed[0])))

    def _next(self, at: float, before: Write) -> tuple[float, Write] | None:
        """In some runs a client goes on before it hears what has become of its write, and wants it on a peer's disk."""
        chance = self._hurry
        if chance.random() >= self._hurries:
            return None
        strikes = chance.random() < 0.5
        return round(at + chance.uniform(0.0, 0.1), 4), replace(before, size_chars=1, peers=1, strikes=strikes)

    def _node(self) -> str:
        return self._chance.choice(self._nodes)

    def _two(self) -> tuple[str, str]:
        one, other = self._chance.sample(self._nodes, 2)
        return one, other

    def _lasts(self) -> float:
        return round(self._chance.choice((0.05, 0.5, 5.0, 40.0)) * self._chance.uniform(0.2, 1.0), 4)

    def _peers(self) -> int:
        return self._chance.choice((-1, 0, 0, 1, min(2, len(self._nodes) - 1)))

    def _write(self) -> Write:
        chance = self._chance
        size_chars = _LARGE if chance.random() < self._large else chance.choice((1, 1, _SMALL))
        typed, strikes = chance.random() < 0.2, chance.random() < self._strikes
        return Write(self._node(), chance.choice(self._documents), size_chars, self._peers(), typed, strikes)

    def _delete(self) -> Delete:
        chance = self._chance
        strikes = chance.random() < self._strikes
        return Delete(self._node(), chance.choice(self._documents), self._peers(), strikes)

    def _cut(self) -> Cut:
        return Cut(*self._two(), both=self._chance.random() < 0.5, lasts=self._lasts())

    def _isolate(self) -> Isolate:
        return Isolate(self._node(), self._lasts())

    def _slow(self) -> Slow:
        return Slow(*self._two(), pace=self._chance.choice((500.0, 20_000.0)), lasts=self._lasts())

    def _crash(self) -> Crash:
        chance = self._chance
        power = chance.random() < 0.7
        return Crash(
            self._node(),
            power=power,
            at_operation=chance.choice((0, chance.randrange(1, 4), chance.randrange(1, 20))),
            silently=power and chance.random() < 0.3,
            loses_disk=power and chance.random() < 0.15,
            lasts=self._lasts() if chance.random() < 0.5 else 0.05,
        )

    def _stop(self) -> Stop:
        return Stop(self._node(), self._lasts())

    def _fault(self) -> Fault:
        kind = self._chance.randrange(3)
        slowness = self._chance.choice((10.0, 100.0, 1000.0)) if kind == 2 else 1.0
        return Fault(self._node(), full=kind == 0, broken=kind == 1, slowness=slowness, lasts=self._lasts())

    def _engine_dies(self) -> EngineDies:
        return EngineDies(self._node())

    def _clock_jumps(self) -> ClockJumps:
        return ClockJumps(self._node(), self._chance.choice((-86_400.0, 86_400.0)))

    def _unseen(self) -> Unseen:
        return Unseen(*self._two(), lasts=self._lasts())
