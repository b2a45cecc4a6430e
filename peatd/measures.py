"""What can be measured: named values with labels, as Prometheus counts them. Sans-IO.

Names and units follow Prometheus' own rules (https://prometheus.io/docs/practices/naming): base units, `_total` at the
end of what only grows. Who exposes measures chooses the format.
"""

import enum
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field


class Kind(enum.Enum):
    """`COUNTER` only grows while the process lives, `GAUGE` goes both ways."""

    COUNTER = "counter"
    GAUGE = "gauge"


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric with all its values.

    Attributes:
        values: the labels' values, in the order of `labels`, and what was measured.
    """

    name: str
    kind: Kind
    meaning: str
    values: Sequence[tuple[Sequence[str], float]]
    labels: Sequence[str] = ()


@dataclass(slots=True)
class Histogram:
    """How long something took, counted by upper bounds (seconds); the last count is of what took longer than all.

    Cheap enough for each write and request: a bisection and two additions.
    """

    bounds: Sequence[float]
    counts: list[int] = field(init=False)
    sum: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, duration: float) -> None:
        self.counts[bisect_left(self.bounds, duration)] += 1
        self.sum += duration


@dataclass(frozen=True, slots=True)
class Durations:
    """A histogram as a metric, without labels."""

    name: str
    meaning: str
    histogram: Histogram


def gauge(name: str, meaning: str, value: float) -> Measure:
    """A gauge without labels."""
    return Measure(name, Kind.GAUGE, meaning, [((), value)])


def counter(name: str, meaning: str, value: float) -> Measure:
    """A counter without labels; its name ends in `_total`."""
    return Measure(name, Kind.COUNTER, meaning, [((), value)])
