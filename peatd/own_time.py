"""The own time of this node, which no clock can turn back or push on, over all its runs: see timeline.py."""

import time

import msgspec
import trio

from peatd.store import Store
from peatd.timeline import Timeline, resumed

_TOPIC = "own time"


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    own_time: int
    wall_time: float
    marks: list[tuple[int, int]]


class OwnTime:
    """Seconds that this node has run, and when its records were made in them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._started = trio.current_time()
        kept = store.notes.get(_TOPIC)
        if kept is None:
            self._before, self._timeline = 0, Timeline()
        else:
            decoded = _decoder.decode(kept)
            self._before = resumed(decoded.own_time, time.time(), decoded.wall_time)
            # Numbers that were given and never became durable are given again.
            self._timeline = Timeline([mark for mark in decoded.marks if mark[1] <= store.last_seq])

    def now(self) -> int:
        return self._before + int(trio.current_time() - self._started)

    def mark(self) -> None:
        """Notes that all records so far were made by now."""
        self._timeline.mark(self.now(), self._store.last_seq)

    def age(self, seq: int) -> int:
        """Seconds since the record `seq` of the store was made, at least."""
        return self._timeline.age(self.now(), seq)

    def save(self) -> None:
        self._store.note(_TOPIC, _encoder.encode(_Kept(self.now(), time.time(), self._timeline.marks)))


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Kept)
