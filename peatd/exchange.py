"""The conversation with one peer over one link: what its messages do here, and what we send it.

Deciding is `sync.py`'s, `digest.py`'s and `pieces.py`'s; merging is `replication.py`'s. Here they meet a link.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import structlog
import trio

from peatd.documents import NOTHING_NEW, News
from peatd.errors import InvalidName, MissingUpdates, PeatError, Unavailable, WireError
from peatd.known import OwedDiff
from peatd.names import DeviceId, DocumentKey, DocumentName, parse_document_name
from peatd.pieces import Assembly
from peatd.reach import EMPTY_STATE_VECTOR
from peatd.replication import Merged, Replication, Subscriber
from peatd.sync import PeerSync
from peatd.wire.messages import (
    Compare,
    Durable,
    Equal,
    Message,
    Offer,
    Offered,
    Piece,
    Reached,
    State,
    Tombstone,
    Updates,
)

log = structlog.get_logger()

COMPARE_INTERVAL = 30.0
"""Seconds, ±25 %: how often the initiating end compares digests and both ask about what is owed for long: the net
below everything else."""

_DIFFS_AT_ONCE = 16
"""Diffs being made for one peer: enough to keep the engine busy during a first sync of many small documents."""
_READY_BYTES = 4 * 1024 * 1024
"""Diffs made and not yet sent; no further one is begun beyond it."""
_REACHED_PER_MESSAGE = 1000
_UNSAID = 10_000
"""Answers waiting for a peer. Comparing a million documents takes fewer; only one who never reads gets there."""


class PeerExchange:
    """One peer's side of replication. Implements `transport.link.Exchange`.

    Attributes:
        last_sync: trio time of the last sign that the peer and we agree on something; None before the first.
        error: the last thing from this peer that could not be merged, until a comparison finds us equal.
    """

    def __init__(self, replication: Replication, device_id: DeviceId, *, compares: bool) -> None:
        self.last_sync: float | None = None
        self.error: str | None = None
        self._replication = replication
        self._table = replication.table
        self._device_id = device_id
        self._compares = compares
        self.sync = PeerSync(device_id, replication.table)
        self._assembly = Assembly()
        self._wake_writer = trio.Event()
        self._wake_differ = trio.Event()
        self._wake_confirmer = trio.Event()
        self._unconfirmed: deque[tuple[int, Reached]] = deque()
        self._sent: set[DocumentName] = set()

    async def run(self) -> None:
        """Makes the diffs that the peer is owed, and compares now and then. Runs beside the link until cancelled."""
        with self._replication.subscribed(Subscriber(self.sync, self._wake)):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._make_diffs, nursery)
                nursery.start_soon(self._confirm)
                nursery.start_soon(self._compare)

    # Sending ---------------------------------------------------------------------------------------------------

    async def next_batch(self) -> Sequence[Message]:
        self._replication.forget_changes(self._sent)
        self._sent = set()
        while True:
            self._wake_writer = trio.Event()
            batch = self.sync.take()
            if batch:
                self._sent = {DocumentName(m.name) for m in batch if isinstance(m, Updates)}
                self._wake_differ.set()
                return batch
            await self._wake_writer.wait()

    def _wake(self) -> None:
        self._wake_writer.set()
        self._wake_differ.set()

    def _say(self, message: Message) -> None:
        if self.sync.unsaid > _UNSAID:
            raise WireError(f"it asks without reading the answers: {_UNSAID} are waiting")
        self.sync.say(message)
        self._wake_writer.set()

    async def _compare(self) -> None:
        while True:
            if self._compares:
                self._say(self._table.tree.compare())
            self.sync.chase()
            self._wake()
            await trio.sleep(COMPARE_INTERVAL * random.uniform(0.75, 1.25))

    async def _make_diffs(self, nursery: trio.Nursery) -> None:
        slots = trio.Semaphore(_DIFFS_AT_ONCE)
        while True:
            self._wake_differ = trio.Event()
            owed = self.sync.next_diff() if self.sync.ready_bytes < _READY_BYTES else None
            if owed is None:
                await self._wake_differ.wait()
                continue
            await slots.acquire()
            nursery.start_soon(self._make_diff, owed, slots)

    async def _make_diff(self, owed: OwedDiff, slots: trio.Semaphore) -> None:
        try:
            await self._replication.documents.diff(owed.key, owed.vector, partial(self.sync.diff_made, owed))
        except PeatError as error:
            self.sync.diff_failed(owed)
            self._note(owed.key, error)
        finally:
            slots.release()
            self._wake()

    # Receiving -------------------------------------------------------------------------------------------------

    async def received(self, message: Message) -> None:
        match message:
            case Updates():
                await self._updates(message)
            case Piece():
                whole = self._assembly.add(message)
                if whole is not None:
                    await self._updates(whole)
            case Durable():
                for reached in message.documents:
                    self.sync.heard_durable(_key(reached.name, reached.incarnation), reached.version)
                self._replication.confirmed()
                self._agree()
            case State():
                self._state(message)
            case Tombstone():
                self._replication.end(_key(message.name, message.incarnation), self._device_id)
            case Compare():
                for answer in self._table.tree.answer(message, self._table.offered):
                    self._say(answer)
                    if isinstance(answer, Equal):
                        self._equal()
            case Offer():
                self._offer(message)
            case Equal():
                self._equal()
            case _:
                pass  # Hello, Ping, Pong and Goaway are the link's own
        self._wake()

    async def _updates(self, message: Updates) -> None:
        key = _key(message.name, message.incarnation)
        if self._answered_ended(key):
            return
        reached = Reached(key.name, key.incarnation, message.version)
        merged_last = partial(self._merged_last, key, reached, message.round)
        if not message.updates:
            merged_last(NOTHING_NEW)
            return
        for update in message.updates[:-1]:
            await self._submit(key, update, partial(self._merged, key))
        await self._submit(key, message.updates[-1], merged_last)

    async def _submit(self, key: DocumentKey, update: bytes, then: Callable[[News], object]) -> None:
        failed = partial(self._failed, key)
        try:
            await self._replication.store.room()
            await self._replication.documents.submit_apply(
                key, update, origin=self._device_id, then=then, failed=failed
            )
        except Unavailable as error:
            failed(error)

    def _merged(self, key: DocumentKey, news: News) -> Merged | None:
        """Runs in the order of merging, with no `await` before the record (replication.py, rule 1)."""
        return self._replication.merge(key, news, self._device_id)

    def _merged_last(self, key: DocumentKey, reached: Reached, counted: int, news: News) -> None:
        """The last update of a message: once it is on disk, so are all that came before it."""
        merged = self._merged(key, news)
        if merged is not None and counted == self.sync.round(key.name):
            self._unconfirmed.append((merged.seq, reached))
            self._wake_confirmer.set()

    def _failed(self, key: DocumentKey, error: PeatError) -> None:
        self.sync.lost_step(key.name)
        self._unconfirmed = deque(u for u in self._unconfirmed if u[1].name != key.name)
        self._note(key, error)
        if isinstance(error, MissingUpdates) and self.sync.round(key.name) == 1:
            # Once at once; should that not help, the next comparison is soon enough.
            self.sync.tell(key.name)
            self._wake()

    def _state(self, state: State) -> None:
        key = _key(state.name, state.incarnation)
        if self._answered_ended(key):
            return
        entry = self._table.alive(key) or self._replication.begin(key)
        if self.sync.heard_state(entry, state):
            reached = Reached(key.name, key.incarnation, state.version)
            self._unconfirmed.append((self._replication.store.last_seq, reached))
            self._wake_confirmer.set()
            self._agree()
        if state.answer:
            self.sync.tell(key.name)

    def _answered_ended(self, key: DocumentKey) -> bool:
        """Whether the peer speaks of an incarnation that is over: then it is told so."""
        if not self._table.has_ended(key):
            return False
        entry = self._table.get(key.name)
        assert entry is not None
        if entry.deleted:
            self.sync.tell(key.name)
        else:
            self.sync.ask(entry)
        return True

    def _offer(self, offer: Offer) -> None:
        theirs = {_key(offered.name, 0).name: offered for offered in offer.documents}
        for name in self._table.tree.below(offer.prefix) - theirs.keys():
            entry = self._table.get(name)
            assert entry is not None
            if entry.deleted:
                self.sync.tell(name)
            else:
                self.sync.owe_all(entry, EMPTY_STATE_VECTOR)
        for name, offered in theirs.items():
            self._offered(DocumentKey(name, offered.incarnation), offered)

    def _offered(self, key: DocumentKey, offered: Offered) -> None:
        entry = self._table.get(key.name)
        if offered.deleted:
            ended = self._table.has_ended(key)
            self._replication.end(key, self._device_id)
            if ended and entry is not None and entry.incarnation > key.incarnation:
                self._answered_ended(key)
        elif self._answered_ended(key):
            return
        elif entry is None or entry.incarnation < key.incarnation:
            self._replication.begin(key)
            self.sync.tell(key.name)
        elif entry.reach.digest() != offered.digest:
            self.sync.ask(entry)

    # Confirming ------------------------------------------------------------------------------------------------

    async def _confirm(self) -> None:
        """Tells the peer what of its is on our disk now."""
        store = self._replication.store
        while True:
            confirmed: dict[str, Reached] = {}
            while self._unconfirmed and self._unconfirmed[0][0] <= store.durable_seq:
                reached = self._unconfirmed.popleft()[1]
                confirmed[reached.name] = reached
            documents = list(confirmed.values())
            for start in range(0, len(documents), _REACHED_PER_MESSAGE):
                self._say(Durable(documents[start : start + _REACHED_PER_MESSAGE]))
                self._agree()
            if self._unconfirmed:
                await store.wait_synced_past(store.durable_seq)
            else:
                self._wake_confirmer = trio.Event()
                await self._wake_confirmer.wait()

    def _equal(self) -> None:
        self.error = None
        self._agree()

    def _agree(self) -> None:
        self.last_sync = trio.current_time()

    def _note(self, key: DocumentKey, error: PeatError) -> None:
        text = f"{key.name}: {error}"
        if text != self.error:
            log.warning("update not merged", document=key.name, device_id=self._device_id, error=str(error))
        self.error = text


def _key(name: str, incarnation: int) -> DocumentKey:
    try:
        return DocumentKey(parse_document_name(name), incarnation)
    except InvalidName as exc:
        raise WireError(str(exc)) from exc
