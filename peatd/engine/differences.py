"""The least that turns one sequence into another, found in bounded time. Sans-IO.

The algorithm is Myers' greedy one ("An O(ND) Difference Algorithm and Its Variations", 1986).
"""

import re
from collections.abc import Hashable, Sequence
from typing import NamedTuple

_MOST_EDITS = 400
_MOST_STEPS = 400_000
"""Beyond these the middle is replaced whole: a tenth of a second's work, and nobody can tell such a rewrite from a new
text anyway."""

_WORD = re.compile(r"\w+|\s+|[^\w\s]")


class Difference(NamedTuple):
    """`old[start:end]` becomes `new[new_start:new_end]`."""

    start: int
    end: int
    new_start: int
    new_end: int


def differences(old: Sequence[Hashable], new: Sequence[Hashable]) -> list[Difference]:
    """What differs, in ascending order, with something equal between each two."""
    before = _common_prefix(old, new)
    after = _common_prefix(old[before:][::-1], new[before:][::-1])
    middle, target = old[before : len(old) - after], new[before : len(new) - after]
    if not middle and not target:
        return []
    found = _myers(middle, target) if middle and target else [Difference(0, len(middle), 0, len(target))]
    return [Difference(*(before + place for place in difference)) for difference in found]


def text_differences(old: str, new: str) -> list[Difference]:
    """What differs between two texts: whole words, but for what their ends have in common."""
    before = _common_prefix(old, new)
    after = _common_prefix(old[before:][::-1], new[before:][::-1])
    middle, target = old[before : len(old) - after], new[before : len(new) - after]
    words, new_words = _WORD.findall(middle), _WORD.findall(target)
    places, new_places = _places(words, before), _places(new_words, before)
    return [
        _trimmed(old, new, Difference(places[d.start], places[d.end], new_places[d.new_start], new_places[d.new_end]))
        for d in differences(words, new_words)
    ]


def _places(words: Sequence[str], start: int) -> list[int]:
    places = [start]
    for word in words:
        places.append(places[-1] + len(word))
    return places


def _trimmed(old: str, new: str, difference: Difference) -> Difference:
    start, end, new_start, new_end = difference
    gone, come = old[start:end], new[new_start:new_end]
    before = _common_prefix(gone, come)
    after = _common_prefix(gone[before:][::-1], come[before:][::-1])
    return Difference(start + before, end - after, new_start + before, new_end - after)


def _common_prefix(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """How much of their beginnings is equal: by halving, as slices compare fast."""
    low, high = 0, min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    while high - low > 1:
        half = (low + high) // 2
        if one[low:half] == other[low:half]:
            low = half
        else:
            high = half
    return low


def _myers(old: Sequence[Hashable], new: Sequence[Hashable]) -> list[Difference]:
    """Forward only: `reached[k]` is how far into `old` one gets on diagonal k (old - new) with so many edits."""
    reached = {1: 0}
    history = []
    steps = 0
    for edits in range(min(len(old) + len(new), _MOST_EDITS) + 1):
        history.append(dict(reached))
        for k in range(-edits, edits + 1, 2):
            is_down = k == -edits or (k != edits and reached[k - 1] < reached[k + 1])
            x = reached[k + 1] if is_down else reached[k - 1] + 1
            y = x - k
            while x < len(old) and y < len(new) and old[x] == new[y]:
                x, y, steps = x + 1, y + 1, steps + 1
            reached[k] = x
            steps += 1
            if x >= len(old) and y >= len(new):
                return _traced(history, len(old), len(new))
        if steps > _MOST_STEPS:
            break
    return [Difference(0, len(old), 0, len(new))]


def _traced(history: Sequence[dict[int, int]], x: int, y: int) -> list[Difference]:
    """Back from the end, one edit at a time; edits that touch are one."""
    found: list[Difference] = []
    for edits in range(len(history) - 1, 0, -1):
        reached, k = history[edits], x - y
        is_down = k == -edits or (k != edits and reached[k - 1] < reached[k + 1])
        before = k + 1 if is_down else k - 1
        from_x = reached[before]
        from_y = from_x - before
        end_x, end_y = (from_x, from_y + 1) if is_down else (from_x + 1, from_y)
        if found and found[-1].start == end_x and found[-1].new_start == end_y:
            found[-1] = Difference(from_x, found[-1].end, from_y, found[-1].new_end)
        else:
            found.append(Difference(from_x, end_x, from_y, end_y))
        x, y = from_x, from_y
    return found[::-1]
