"""Where no Yjs program puts anything, and what copies would never agree about. Sans-IO.

What is inside of something is inside of a shared type: the libraries disagree about the rest, and y-py panics.

The items under a key form a chain of which only the last is alive: whoever sets a key names the value before as the
left neighbour of the new one, and deletes it. A hostile program can stand a value before another, behind one that is
alive, or cut one in two. The libraries, and Yjs itself, then delete what they find superfluous when a chain is put
together: not the same ones, and others when the document is loaded anew.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

from peatd.errors import MalformedUpdate
from peatd.ranges import Ranges
from peatd.reach import Reach
from peatd.structs import CONTENT, DELETED, EMBED, FORMAT, Keyed
from peatd.update import Examined

_SWEEPS = 8
"""Through an update's structs, each of which may stand before its left neighbour: clients are in no order that matters.
What has not been reached by then is a chain of many clients in turns, and goes unchecked."""

_NO_VALUES = (EMBED, FORMAT)
"""Contents that only texts have."""


class Types:
    """The shared types of a document."""

    def __init__(self) -> None:
        self._clocks: dict[int, array[int]] = {}

    def add(self, types: Mapping[int, Sequence[int]]) -> None:
        """Takes in those of an update's news, which come in the order of their clocks."""
        for client, clocks in types.items():
            self._clocks.setdefault(client, array("I")).extend(clocks)

    def check_parents(self, examined: Examined, reach: Reach) -> None:
        """Raises: MalformedUpdate, if the update puts something into what is, or was, no shared type."""
        for client, clock in examined.parents:
            if not (
                _has(self._clocks.get(client, ()), clock)
                or _has(examined.types.get(client, ()), clock)
                or reach.has_deleted(client, clock)
            ):
                raise MalformedUpdate("the update has something inside of what is no shared type")


class Values:
    """What stands under keys. The bit in a struct's first byte says so too, but y-crdt sets it on pieces of texts as
    well: so those count that name a key, and those beside such."""

    def __init__(self) -> None:
        self._clocks: dict[int, Ranges] = {}
        self._inside: dict[int, Ranges] = {}  # client → the clocks before which a living value would be cut

    @property
    def may_be_cut(self) -> bool:
        """Whether there are values of more than one clock: y-crdt writes XML attributes so."""
        return bool(self._inside)

    def check_cuts(self, cuts: Mapping[int, Sequence[int]], reach: Reach) -> None:
        """Raises: MalformedUpdate, if a living value would be cut in two."""
        for client in self._inside.keys() & cuts.keys():
            inside = self._inside[client]
            for clock in cuts[client]:
                if inside.covers(clock, 1) and not reach.has_deleted(client, clock):
                    raise MalformedUpdate("the update cuts the value of a key in two")

    def take(self, keyed: Sequence[Keyed], reach: Reach) -> bool:
        """Takes in those of an update's news, which `reach` has; whether each is the only value of its key."""
        are_alone = True
        for _ in range(_SWEEPS):
            before = keyed
            keyed = [struct for struct in before if not self._counts(struct)]
            if len(keyed) == len(before):
                break
            are_alone &= all(_is_alone(struct, reach) for struct in set(before).difference(keyed))
        return are_alone

    def _counts(self, struct: Keyed) -> bool:
        """Whether it is known to be under a key; from then on it is."""
        if struct.left_at >= 0:
            is_under_key = self._has(struct.left, struct.left_at)
        else:
            is_under_key = struct.right_at < 0 or self._has(struct.right, struct.right_at)
        if not is_under_key:
            return False
        self._clocks.setdefault(struct.client, Ranges()).add_all([(struct.clock, struct.length)])
        if struct.length > 1 and struct.info & CONTENT > DELETED:
            inside = self._inside.setdefault(struct.client, Ranges())
            inside.add_all([(struct.clock + 1, struct.length - 1)])
        return True

    def _has(self, client: int, clock: int) -> bool:
        clocks = self._clocks.get(client)
        return clocks is not None and clocks.covers(clock, 1)


def check_said(keyed: Iterable[Keyed]) -> None:
    """What an update says of itself, before a library sees it.

    Raises:
        MalformedUpdate: if it has something under a key that is no value.
    """
    if any(_names_key(struct) and struct.info & CONTENT in _NO_VALUES for struct in keyed):
        raise MalformedUpdate("the update has something under a key that cannot be a value")


def _is_alone(struct: Keyed, reach: Reach) -> bool:
    is_last = struct.right_at < 0 and (struct.left_at < 0 or reach.has_deleted(struct.left, struct.left_at))
    return is_last and struct.info & CONTENT not in _NO_VALUES


def _names_key(struct: Keyed) -> bool:
    return struct.left_at < 0 and struct.right_at < 0


def _has(clocks: Sequence[int], clock: int) -> bool:
    index = bisect_left(clocks, clock)
    return index < len(clocks) and clocks[index] == clock
