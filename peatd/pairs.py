"""Surrogate pairs in texts, and what comes between their halves. Sans-IO.

Yjs counts UTF-16 code units, so an emoji is two clocks, and a program may delete one of them or type between them. Yjs
then makes U+FFFD of either half, on every copy that learns of it (`ContentString.splice`). The CRDT libraries cannot
cut there: y-py panics, pycrdt moves all that follows by one. So whoever feeds them replaces the pair first.
"""

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

_PAIR = re.compile("[\U00010000-\U0010ffff]")
_ENCODED_PAIR = re.compile(rb"[\xf0-\xf4][\x80-\xbf]{3}")
_HALF = "\ufffd".encode("utf-16-le")


def may_have_pairs(update: bytes) -> bool:
    """Whether to look closer: true for all updates with a pair in a text, and now and then for another."""
    return _ENCODED_PAIR.search(update) is not None


def second_halves(text: str, clock: int) -> list[int]:
    """The clocks of the second halves in a text that begins at `clock`."""
    return [clock + match.start() + earlier + 1 for earlier, match in enumerate(_PAIR.finditer(text))]


def without_pairs(text: str, clock: int, halves: Iterable[int]) -> str:
    """The text, which begins at `clock`, as Yjs has it once these pairs are cut."""
    units = bytearray(text.encode("utf-16-le"))
    for half in halves:
        units[2 * (half - clock) - 2 : 2 * (half - clock) + 2] = _HALF * 2
    return units.decode("utf-16-le")


def cut_pairs(pairs: Mapping[int, Sequence[int]], cuts: Mapping[int, Iterable[int]]) -> dict[int, list[int]]:
    """Which pairs are cut, by their second halves; `cuts` are the clocks before which structs are split."""
    found = {}
    for client in pairs.keys() & cuts.keys():
        halves = pairs[client]
        if hit := {cut for cut in cuts[client] if _has(halves, cut)}:
            found[client] = sorted(hit)
    return found


def add_pairs(known: dict[int, "array[int]"], pairs: Mapping[int, Sequence[int]]) -> None:
    """Takes in those of an update's news, which come in the order of their clocks."""
    for client, halves in pairs.items():
        known.setdefault(client, array("I")).extend(halves)


def _has(halves: Sequence[int], clock: int) -> bool:
    index = bisect_left(halves, clock)
    return index < len(halves) and halves[index] == clock
