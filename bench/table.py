"""What was measured, what it is to be, and what it stands beside."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement.

    Attributes:
        target: that `value` is to keep below, or reach where `more_is_better`; None for what only explains others.
        beside: a peer or a limit measured in the same run, and its value in the same unit.
        note: tails, and whatever else belongs to the number.
    """

    what: str
    value: float
    unit: str
    target: float | None = None
    more_is_better: bool = False
    beside: tuple[str, float] | None = None
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        if self.target is None:
            return None
        return self.value >= self.target if self.more_is_better else self.value <= self.target


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of them does not exceed."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


def tails(seconds: Sequence[float]) -> str:
    """All that a mean would hide."""
    told = [f"{name} {_number(1000 * percentile(seconds, share))}" for name, share in _SHARES]
    return f"{', '.join(told)} ms of {len(seconds)}"


_SHARES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))


def rendered(rows: Sequence[Row]) -> str:
    """As text, one line each, in columns."""
    lines = [("", "measured", "target", "", "beside", "ratio", "note"), *map(_cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]).rstrip()
        for line in lines
    )


def _cells(row: Row) -> tuple[str, ...]:
    target = verdict = beside = ratio = ""
    if row.target is not None:
        target = f"{'≥' if row.more_is_better else '≤'} {_number(row.target)} {row.unit}"
        verdict = "met" if row.is_met else "not met"
    if row.beside is not None:
        name, value = row.beside
        beside = f"{name}: {_number(value)} {row.unit}"
        ratio = f"{row.value / value:.2f}" if value else "-"
    return row.what, f"{_number(row.value)} {row.unit}", target, verdict, beside, ratio, row.note


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
