"""What the clients of one document write: merged in turn, counted while it is under way, or refused with a reason."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from peatd.clients import closes, protocol
from peatd.clients.seat import PIECE_BYTES, Seat
from peatd.documents import News
from peatd.errors import DocumentEnded, PeatError, TooLarge, Unavailable
from peatd.names import DocumentKey, DocumentName
from peatd.replication import Replication

Taken = Callable[[int, bool], None]
"""Is told the seq that makes an update durable, and whether there was news in it."""
Failed = Callable[[PeatError], None]


class Writing:
    """The updates of one room's clients.

    Attributes:
        writer: whose update is being recorded at this moment.
    """

    def __init__(self, name: DocumentName, replication: Replication) -> None:
        self.writer: Seat | None = None
        self._name = name
        self._replication = replication
        self._submitted_bytes = 0
        """Of updates that the engine has not answered yet: a limit that they pass together is passed."""

    def write(
        self, seat: Seat, update: bytes, taken: Taken, failed: Failed, lacking: Callable[[], None] | None = None
    ) -> None:
        """Merges a client's update. One of `taken` and `failed` is called, once.

        Args:
            lacking: is called before `taken` if what builds on what is not here was left out. None: then it fails.
        """
        store = self._replication.store
        try:
            key = self._replication.table.to_write(self._name)
            self._replication.table.admit(self._name)
        except (DocumentEnded, Unavailable) as exc:
            failed(exc)
            return
        size_bytes = store.size_bytes(self._name) + self._submitted_bytes + len(update)
        status = store.status()
        if update == protocol.NOTHING:
            taken(store.last_seq, False)
        elif not status.ready:
            failed(Unavailable(status.message or "the disk fails"))
        elif size_bytes > (limit := self._replication.documents.max_document_bytes):
            failed(TooLarge(f"{self._name} would take {size_bytes} bytes: the limit is {limit}"))
        else:
            self._submitted_bytes += len(update)
            then = partial(self._merged, seat, key, len(update), taken, lacking)
            refused = partial(self._refused, len(update), failed)
            submit = partial(self._replication.documents.submit, key, update, origin=seat.origin, former=self.former())
            submit(then=then, failed=refused, piece_bytes=PIECE_BYTES, partly=lacking is not None)

    async def has_capacity(self) -> None:
        """Returns when the engine and the store can take more. (While the disk fails, `write` says so.)"""
        await self._replication.documents.room(self._name)
        store = self._replication.store
        if not store.has_room:  # as it nearly always has: without a turn of the loop for each message
            with suppress(Unavailable):
                await store.room()

    def former(self) -> tuple[int, ...]:
        """Clients of the document's earlier lives."""
        entry = self._replication.table.get(self._name)
        return () if entry is None else entry.reach.former

    def _merged(
        self,
        seat: Seat,
        key: DocumentKey,
        size_bytes: int,
        taken: Taken,
        lacking: Callable[[], None] | None,
        news: News,
    ) -> None:
        """Runs in the order of merging, with no `await` before the record (replication.py, rule 1)."""
        self._submitted_bytes -= size_bytes
        if news.is_partial and lacking is not None:
            lacking()
        seq, is_news = self._replication.store.last_seq, not news.content.is_empty
        if is_news:
            self.writer = seat
            try:
                merged = self._replication.merge(key, news, None)
            finally:
                self.writer = None
            if merged is None:
                seat.leave(*closes.DELETED)
                return
            seq = merged.seq
        taken(seq, is_news)

    def _refused(self, size_bytes: int, failed: Failed, error: PeatError) -> None:
        self._submitted_bytes -= size_bytes
        failed(error)
