"""The conversation with one peer over one link. Deciding is `sync.py`'s, `digest.py`'s and `pieces.py`'s, merging is
`replication.py`'s; here they meet a link."""

import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import trio

from peatd.confirmations import Unconfirmed
from peatd.diffs import DiffMaker
from peatd.errors import MissingUpdates, PeatError, WireError
from peatd.intake import Intake
from peatd.merged import Merged
from peatd.names import DeviceId, DocumentKey, DocumentName, NodeId
from peatd.offers import Offers
from peatd.pace import pause_after
from peatd.peer_copies import PeerCopies
from peatd.pieces import AllHeld, Assembly
from peatd.replication import Replication, Subscriber
from peatd.setbacks import Setbacks
from peatd.standing import Standing
from peatd.summaries import Summaries
from peatd.sync import PeerSync
from peatd.transport.link import Side
from peatd.wire.horizon import Horizon
from peatd.wire.messages import (
    Compare,
    Durable,
    Equal,
    Message,
    Offer,
    Piece,
    Reached,
    State,
    Tombstone,
    Updates,
    named,
)

COMPARE_INTERVAL = 30.0
"""Seconds, ±25 %: how often the initiating end compares digests and both ask about what is owed for long: the net
below everything else."""
_UNSAID = 10_000
"""Answers waiting for a peer. Comparing a million documents takes fewer; only one who never reads gets there."""

_BURDEN = 100_000
"""Documents that are remembered for a peer's sake, beyond those that we have: 30 MB. It does not read, or it lies."""


class PeerExchange:
    """One peer's side of replication. Implements `transport.link.Exchange`.

    Args:
        held: what unfinished updates of all peers take together.
        nodes: ours and the peer's; None where its release knows nothing of horizons, and would end the link over one.
        restricted: what the peer's HELLO says of that; None where its release knows nothing of it.

    Attributes:
        last_sync: trio time of the last sign that the peer and we agree on something; None before the first.
    """

    def __init__(
        self,
        replication: Replication,
        device_id: DeviceId,
        *,
        compares: bool,
        sides: Sequence[Side] = (),
        nodes: tuple[NodeId, NodeId] | None = None,
        held: AllHeld | None = None,
        reads_summaries: bool = False,
        restricted: frozenset[str] | None = frozenset(),
    ) -> None:
        self.last_sync: float | None = None
        self._replication = replication
        self._table = replication.table
        self._device_id = device_id
        self._compares = compares
        self.sync = PeerSync(device_id, replication.table)
        self._setbacks = Setbacks(replication.table, self.sync, device_id)
        self._standing = None if nodes is None else Standing(replication, *nodes, self.sync)
        self.copies = PeerCopies(replication, self.sync, device_id, restricted)
        self._offers = Offers(replication, device_id, self.sync, self._standing, self.copies)
        self.summaries = Summaries(replication, self.sync, self._offers, is_heard=reads_summaries)
        self._sides = (*sides, self.copies, self.summaries)
        self._assembly = Assembly(held or AllHeld())
        self._intake = Intake(replication, device_id, self._failed)
        self._wake_writer = trio.Event()
        self._diffs = DiffMaker(replication.documents, self.sync, self._wake, self._setbacks.note)
        self._wake_confirmer = trio.Event()
        self._unconfirmed = Unconfirmed()
        self._sent: set[DocumentName] = set()
        self._next_at = 0.0

    @property
    def error(self) -> str | None:
        """The last thing from this peer that could not be merged, until a comparison finds us equal."""
        return self._setbacks.error

    def is_to_confirm(self, seq: int) -> bool:
        """Whether the peer waits to hear that something is on our disk that we recorded up to this seq."""
        return self._unconfirmed.is_due(seq)

    @contextmanager
    def subscribed(self) -> Iterator[None]:
        """While it lasts, every change here is owed to the peer."""
        with ExitStack() as stack:
            if self._standing is not None:
                self._standing.say()
            stack.enter_context(self._replication.subscribed(Subscriber(self.sync, self._wake, self.copies)))
            for side in self._sides:
                stack.enter_context(side.told(lambda: self._wake_writer.set()))
            stack.callback(self._assembly.clear)
            stack.callback(self._replication.coming.parted, self._device_id)
            yield

    async def run(self) -> None:
        """Makes the diffs that the peer is owed, confirms what is on our disk, and compares now and then."""
        async with trio.open_nursery() as nursery:
            for task in (self._diffs.run, self._confirm, self._compare, self._look):
                nursery.start_soon(task)

    async def _look(self) -> None:
        beat = self._replication.pulse.turn()
        while True:
            await beat()
            self.summaries.look()
            if self._offers.look():
                self._wake()
            if self._standing is not None:
                self._standing.look(self._wake)

    def say_horizon(self) -> None:
        """Tells the peer now what it may know of our documents; nothing to one whose release does not."""
        if self._standing is not None:
            self._standing.say()
            self._wake()

    # Sending ---------------------------------------------------------------------------------------------------

    async def next_batch(self) -> Sequence[Message]:
        sent = (self._table.get(name) for name in self._sent)
        self._replication.forget_changes([entry for entry in sent if entry is not None])
        self._sent.clear()
        if self._next_at > trio.current_time():
            await trio.sleep_until(self._next_at)
        while True:
            self._wake_writer = trio.Event()
            batch = [*self._unconfirmed.take(self._replication.store.durable_seq), *self.sync.take()]
            batch += [message for side in self._sides for message in side.take()]
            if batch:
                self._sent = {DocumentName(m.name) for m in batch if isinstance(m, Updates)}
                self._diffs.wake()
                if self._unconfirmed:
                    self._wake_confirmer.set()
                self._next_at = trio.current_time() + pause_after(batch, self._replication.audience)
                return batch
            await self._wake_writer.wait()

    def _wake(self) -> None:
        if self.sync.is_owing:
            self._wake_writer.set()
            self._diffs.wake()

    def _answer(self, message: Message) -> None:
        if self.sync.unsaid > _UNSAID:
            raise WireError(f"it asks without reading the answers: {_UNSAID} are waiting")
        self.sync.say(message)

    async def _compare(self) -> None:
        compares = self._compares
        while True:
            if compares:
                self._offers.compare()
            self.sync.chase()
            self._wake()
            compares = self._compares
            with trio.move_on_after(COMPARE_INTERVAL * random.uniform(0.75, 1.25)):
                await self._intake.recovered()
                compares = True  # what was refused is asked for as soon as the disk works again
                self._setbacks.ask_again()

    # Receiving -------------------------------------------------------------------------------------------------

    async def received(self, message: Message) -> None:
        match message:
            case Updates():
                await self._updates(message)
            case Piece():
                self._offers.came_in_part(named(message.name))
                whole = self._assembly.add(message)
                if whole is not None:
                    await self._updates(whole)
            case Durable():
                for reached in message.documents:
                    key = DocumentKey(named(reached.name), reached.incarnation)
                    self._replication.heard_durable(self.sync, key, reached.version)
                self._replication.confirmed()
                self._agree()
            case State():
                self._state(message)
            case Tombstone():
                self._tombstone(message)
            case Compare():
                for answer in self._offers.answers(message):
                    self._answer(answer)
                    if isinstance(answer, Equal):
                        self._equal()
            case Offer():
                self._offers.heard(message)
            case Equal():
                self._equal()
            case Horizon() if self._standing is not None:
                self._standing.received(message)
            case _:  # Hello, Ping, Pong and Goaway are the link's own
                for side in self._sides:
                    side.received(message)
        if self.sync.burden > _BURDEN + len(self._table):
            raise WireError("it speaks of too many documents that are not here")
        self._wake()

    async def _updates(self, message: Updates) -> None:
        key = DocumentKey(named(message.name), message.incarnation)
        if self._offers.answered_ended(key) or self.copies.refuses(key):
            return
        reached = Reached(key.name, key.incarnation, message.version)
        await self._intake.merge(key, message.updates, partial(self._merged, reached, message))

    def _merged(self, reached: Reached, message: Updates, merged: Merged | None) -> None:
        if merged is not None:
            self._offers.came(merged.key.name)
            self.summaries.merged(merged.key, is_pushed=message.is_pushed)
        if merged is not None and message.round == self.sync.rounds[merged.key.name]:
            self._confirm_later(merged.seq, reached)
            self.copies.merged(merged.key, reached.version)

    def _failed(self, key: DocumentKey, error: PeatError) -> None:
        self._offers.came(key.name)
        self.sync.rounds[key.name] += 1
        self._unconfirmed.forget(key.name)
        self._setbacks.note(key, error)
        if isinstance(error, MissingUpdates) and self.sync.rounds[key.name] == 1:
            # Once at once; should that not help, the next comparison is soon enough.
            self.sync.tell(key)
            self._wake()

    def _state(self, state: State) -> None:
        key = DocumentKey(named(state.name), state.incarnation)
        entry = self._table.alive(key)
        if entry is not None and not state.version and self._offers.has_forgotten(entry):
            self.sync.tell(key)
            return
        if self._offers.answered_ended(key) or self.copies.answered(key, state):
            return
        entry = entry or self._offers.begun_if_empty(key, state.digest)
        if entry is not None and self.sync.heard_state(entry, state):
            self._confirm_later(self._replication.store.last_seq, Reached(key.name, key.incarnation, state.version))
            self._agree()
            self._offers.came(key.name)
            self.copies.agreed(entry)
        if self._replication.bury(key.name, state.former) or state.answer:
            self.sync.tell(key)

    def _tombstone(self, tombstone: Tombstone) -> None:
        key = DocumentKey(named(tombstone.name), tombstone.incarnation)
        self._offers.came(key.name)
        self._replication.end(key, self._device_id, tombstone.age)
        self._confirm_later(self._replication.store.last_seq, Reached(key.name, key.incarnation, tombstone.version))
        if self._replication.bury(key.name, tombstone.former):
            self.sync.tell(key)

    # Confirming ------------------------------------------------------------------------------------------------

    def _confirm_later(self, seq: int, reached: Reached) -> None:
        self._unconfirmed.add(seq, reached)
        self._wake_confirmer.set()

    async def _confirm(self) -> None:
        """Wakes the writer whenever there is something to confirm: what of the peer's is on our disk now."""
        store = self._replication.store
        while True:
            self._wake_confirmer = trio.Event()
            if self._unconfirmed.is_due(store.durable_seq):
                self._agree()
                self._wake_writer.set()
                await self._wake_confirmer.wait()
            elif self._unconfirmed:
                await store.wait_synced_past(store.durable_seq)
            else:
                await self._wake_confirmer.wait()

    def _equal(self) -> None:
        self._setbacks.clear()
        self._agree()

    def _agree(self) -> None:
        self.last_sync = trio.current_time()
