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
from peatd.structs import CONTENT, DELETED, EMBED, FORMAT, RIGHT_ORIGIN, Keyed
from peatd.update import Examined

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
    """The values under keys that take more than one clock (y-crdt writes XML attributes so): they must not be cut."""

    def __init__(self) -> None:
        self._inside: dict[int, Ranges] = {}  # client → the clocks before which a living value would be cut

    def __bool__(self) -> bool:
        return bool(self._inside)

    def add(self, keyed: Iterable[Keyed]) -> None:
        """Takes in those of an update's news."""
        for struct in keyed:
            if struct.length > 1 and struct.info & CONTENT > DELETED:
                inside = self._inside.setdefault(struct.client, Ranges())
                inside.add_all([(struct.clock + 1, struct.length - 1)])

    def check_cuts(self, cuts: Mapping[int, Sequence[int]], reach: Reach) -> None:
        """Raises: MalformedUpdate, if a living value would be cut."""
        for client in self._inside.keys() & cuts.keys():
            inside = self._inside[client]
            for clock in cuts[client]:
                if inside.covers(clock, 1) and not reach.has_deleted(client, clock):
                    raise MalformedUpdate("the update cuts the value of a key in two")


def check_said(keyed: Iterable[Keyed]) -> None:
    """What an update says of itself, before a library sees it.

    Raises:
        MalformedUpdate: if it has something under a key that is no value, or stands before one.
    """
    if not all(map(_is_value, keyed)):
        raise MalformedUpdate("the update has something under a key that cannot be a value")


def stand_alone(keyed: Iterable[Keyed], reach: Reach) -> bool:
    """Whether each of these is the only value of its key. Of what a library has made of an update: there it is true,
    which of two neighbours are under a key."""
    return all(
        _is_value(struct) and (struct.left_at < 0 or reach.has_deleted(struct.left, struct.left_at)) for struct in keyed
    )


def _is_value(struct: Keyed) -> bool:
    return not struct.info & RIGHT_ORIGIN and struct.info & CONTENT not in _NO_VALUES


def _has(clocks: Sequence[int], clock: int) -> bool:
    index = bisect_left(clocks, clock)
    return index < len(clocks) and clocks[index] == clock
