"""Sets of clocks as ranges: what is deleted. Sans-IO."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

_BULK_RANGES = 32
"""From here on, sorting all ranges anew is cheaper than inserting one by one."""


class Ranges:
    """A set of clocks. Iterating gives (start, end) in order; arguments are (clock, length), as Yjs has them."""

    __slots__ = ("ends", "starts")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        merged = merge_ranges(ranges)
        self.starts = [clock for clock, _ in merged]
        self.ends = [clock + length for clock, length in merged]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.starts, self.ends, strict=True)

    def covers(self, clock: int, length: int) -> bool:
        index = bisect_right(self.starts, clock) - 1
        return index >= 0 and clock + length <= self.ends[index]

    def outside(self, ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """The parts of sorted, disjoint ranges that are not in the set."""
        left: list[tuple[int, int]] = []
        for clock, length in ranges:
            end = clock + length
            index = bisect_right(self.ends, clock)
            while index < len(self.starts) and self.starts[index] < end:
                if clock < self.starts[index]:
                    left.append((clock, self.starts[index] - clock))
                clock = self.ends[index]
                index += 1
            if clock < end:
                left.append((clock, end - clock))
        return left

    def inside(self, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of the set from `start` up to `end` (exclusive)."""
        found: list[tuple[int, int]] = []
        index = bisect_right(self.ends, start)
        while index < len(self.starts) and self.starts[index] < end:
            first, last = max(start, self.starts[index]), min(end, self.ends[index])
            found.append((first, last - first))
            index += 1
        return found

    def add_all(self, ranges: Sequence[tuple[int, int]]) -> None:
        if len(ranges) < _BULK_RANGES:
            for clock, length in ranges:
                self._add(clock, clock + length)
            return
        everything = Ranges([*((start, end - start) for start, end in self), *ranges])
        self.starts, self.ends = everything.starts, everything.ends

    def _add(self, start: int, end: int) -> None:
        first = bisect_left(self.ends, start)  # the first that touches or follows
        last = bisect_right(self.starts, end)  # behind the last that touches
        if first < last:
            start = min(start, self.starts[first])
            end = max(end, self.ends[last - 1])
        self.starts[first:last] = [start]
        self.ends[first:last] = [end]


def merge_ranges(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same clocks as sorted, disjoint, non-adjacent (clock, length)."""
    merged: list[tuple[int, int]] = []
    end = -1
    for clock, length in sorted(ranges):
        if clock > end:
            merged.append((clock, length))
            end = clock + length
        elif clock + length > end:
            start = merged[-1][0]
            end = clock + length
            merged[-1] = (start, end - start)
    return merged
