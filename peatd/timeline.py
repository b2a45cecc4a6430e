"""How long ago something was recorded, without trusting any clock. Sans-IO.

A node counts the seconds that it runs, its *own time*, and marks now and then up to where its records had come. So the
age of a record is never more than it is: wrong clocks, and clocks that jump, expire nothing early. While a node is not
running, its wall clock is believed for a day at most.
"""

from bisect import bisect_left
from collections.abc import Sequence

MAX_AWAY = 86_400
"""Seconds away that the wall clock is believed for, each time: it may be wrong by years."""

_FINENESS = 64
"""Marks lie no further apart than this part of their age: some 900 of them reach back for years."""


class Timeline:
    """Marks of (own time in whole seconds, number of the latest record then), both ascending."""

    def __init__(self, marks: Sequence[tuple[int, int]] = ()) -> None:
        self.marks = list(marks)

    def mark(self, now: int, seq: int) -> None:
        """All records up to `seq` were made by now."""
        if self.marks and (seq <= self.marks[-1][1] or now <= self.marks[-1][0]):
            return
        self.marks.append((now, seq))
        self._thin(now)

    def age(self, now: int, seq: int) -> int:
        """Seconds since the record was made, at least; 0 of one that no mark covers yet."""
        index = bisect_left(self.marks, seq, key=lambda mark: mark[1])
        return max(0, now - self.marks[index][0]) if index < len(self.marks) else 0

    def _thin(self, now: int) -> None:
        marks, kept = self.marks, self.marks[-1:]
        for index in range(len(marks) - 2, 0, -1):
            # Without this one, records between its neighbours would be as young as the later of them.
            if kept[-1][0] - marks[index - 1][0] > (now - kept[-1][0]) // _FINENESS:
                kept.append(marks[index])
        if len(marks) > 1:
            kept.append(marks[0])
        self.marks = kept[::-1]


def resumed(own_time: int, wall_time: float, wall_time_then: float) -> int:
    """The own time to go on from after a restart."""
    return own_time + min(max(0, int(wall_time - wall_time_then)), MAX_AWAY)
