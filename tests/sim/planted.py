"""Bugs of the kinds that such a program is known for, to show that the simulation finds their like.

Each replaces something of the product while a run lasts, and nothing of it is in the product.
"""

import contextlib
import contextvars
import random
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import trio
from sim.stage import replaced

from peatd.confirmations import Unconfirmed
from peatd.documents import Documents
from peatd.exchange import PeerExchange
from peatd.merged import Merged
from peatd.offers import Offers
from peatd.replication import Replication
from peatd.store import Store, schema, writing
from peatd.store.keeper import Keeper
from peatd.store.operations import Checkpoint
from peatd.sync import PeerSync
from peatd.upkeep import Upkeep
from peatd.wire.messages import Updates

Bug = Callable[[], contextlib.AbstractContextManager[object]]
BUGS: dict[str, Bug] = {}


def _planted(plant: Callable[[], Iterator[None]]) -> Bug:
    bug = contextlib.contextmanager(plant)
    BUGS[plant.__name__.replace("_", "-")] = bug
    return bug


def _spawn(later: Callable[..., Awaitable[None]], *args: object) -> None:
    trio.lowlevel.spawn_system_task(later, *args, context=contextvars.copy_context())


# The most usual --------------------------------------------------------------------------------------


@_planted
def await_between_merge_and_record() -> Iterator[None]:
    """What the engine has merged is recorded by a task that gets its turn some time later."""
    real = Documents.submit

    def submit(self: Documents, *args: Any, then: Callable[[Any], object], **more: Any) -> None:
        async def later(news: Any) -> None:
            await trio.sleep(random.choice((0.0, 0.0, 0.002)))
            then(news)

        real(self, *args, then=partial(_spawn, later), **more)

    with replaced(Documents, "submit", submit):
        yield


@_planted
def tombstone_check_forgotten() -> Iterator[None]:
    """An update of an incarnation that has ended is taken in like any other."""
    real, real_begun = Replication.merge, Offers.begun_if_empty

    def merge(self: Replication, key: Any, news: Any, origin: Any) -> Merged | None:
        if self.table.has_ended(key):
            del self.table._entries[key.name]
        return real(self, key, news, origin)

    def begun_if_empty(self: Offers, key: Any, digest: bytes) -> Any:
        return None if self._replication.table.has_ended(key) else real_begun(self, key, digest)

    with (
        replaced(Replication, "merge", merge),
        replaced(Offers, "answered_ended", lambda *_: False),
        replaced(Offers, "begun_if_empty", begun_if_empty),
    ):
        yield


@_planted
def fsync_skipped() -> Iterator[None]:
    """SQLite is told that its commits need not be on disk when they return."""
    real = schema.connect

    def connect(*args: Any, **more: Any) -> Any:
        connection = real(*args, **more)
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    with replaced(schema, "connect", connect), replaced(writing, "connect", connect):
        yield


@_planted
def raw_forward() -> Iterator[None]:
    """What a peer sends is passed on as it is, and not what was news in it."""
    real = PeerExchange._updates

    async def updates(self: PeerExchange, message: Updates) -> None:
        for subscriber in self._replication.subscribers:
            if subscriber.sync is not self.sync:
                subscriber.sync.say(message)
                subscriber.wake()
        await real(self, message)

    with replaced(PeerExchange, "_updates", updates):
        yield


# Others ----------------------------------------------------------------------------------------------------------


@_planted
def owed_mark_lost_with_link() -> Iterator[None]:
    """A new link takes it that the peer has what the last one had in hand: no digests are compared."""

    async def compare(self: PeerExchange) -> None:
        await trio.sleep_forever()

    with replaced(PeerExchange, "_compare", compare):
        yield


@_planted
def ack_before_durable() -> Iterator[None]:
    """A writer is told `durable` when the record is on its way to the disk."""

    async def synced(self: Keeper, _seq: int) -> None:
        await trio.lowlevel.checkpoint()
        self._refuse_while_failing()

    with replaced(Keeper, "synced", synced):
        yield


@_planted
def confirmed_before_durable() -> Iterator[None]:
    """A peer is told that something is on our disk as soon as it is merged."""
    real = Unconfirmed.take

    def take(self: Unconfirmed, _durable_seq: int) -> Any:
        return real(self, 1 << 60)

    with (
        replaced(Unconfirmed, "take", take),
        replaced(Unconfirmed, "is_due", lambda self, _seq: bool(self._waiting)),
    ):
        yield


@_planted
def durable_seq_after_a_failed_write() -> Iterator[None]:
    """A commit that failed counts as done."""
    real = Keeper._failed

    def failed(self: Keeper, message: str) -> None:
        real(self, message)
        self.pending.forget_taken()
        self.durable_seq = self.last_seq

    with replaced(Keeper, "_failed", failed):
        yield


@_planted
def anti_entropy_skipped() -> Iterator[None]:
    """Digests are compared once per link, and nobody asks about what is owed for long."""
    real = PeerExchange._compare

    async def compare(self: PeerExchange) -> None:
        with trio.move_on_after(1.0):
            await real(self)
        await trio.sleep_forever()

    with replaced(PeerExchange, "_compare", compare):
        yield


@_planted
def checkpoint_ahead_of_its_rows() -> Iterator[None]:
    """What a document reaches is saved as of one record earlier than it is true of: the tail counts twice, or a row is
    left out."""

    def checkpoint(self: Any, key: Any, reach: bytes) -> None:
        self._keeper.add(Checkpoint(self.last_seq + 1, key, reach))

    with replaced(Store, "checkpoint", checkpoint):
        yield


@_planted
def tombstone_not_on_disk() -> Iterator[None]:
    """A deletion is remembered until the next start."""
    real = Store.set_incarnation

    def set_incarnation(self: Store, *args: Any, deleted: bool, **more: Any) -> int:
        return self.last_seq if deleted else real(self, *args, deleted=deleted, **more)

    with replaced(Store, "set_incarnation", set_incarnation):
        yield


@_planted
def confirmation_of_the_whole_link() -> Iterator[None]:
    """A peer that confirms one version is taken to have confirmed all that it was sent."""

    def heard_durable(self: PeerSync, key: Any, _version: int) -> int:
        known = self._known_of(key)
        if known is None:
            return 0
        entry = self._table.get(key.name)
        known.durable = entry.version if entry is not None else known.sent
        return known.durable

    with replaced(PeerSync, "heard_durable", heard_durable):
        yield


@_planted
def await_between_snapshot_and_fold() -> Iterator[None]:
    """A snapshot takes the place of rows that came after it."""
    real = Upkeep._folded

    def folded(self: Upkeep, entry: Any, snapshot: bytes) -> None:
        async def later() -> None:
            await trio.sleep(random.choice((0.0, 0.01, 0.1)))
            real(self, entry, snapshot)

        _spawn(later)

    with replaced(Upkeep, "_folded", folded):
        yield
