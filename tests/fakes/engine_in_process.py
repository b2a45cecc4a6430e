"""The engine without its process: the same requests, handled by the same `Engine`, in order, some time later.

It has the interface of `peatd.documents.Documents` as replication uses it.
"""

import random
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, TypeVar

import trio

from peatd.documents import Edit, News, Put
from peatd.engine import protocol
from peatd.engine.engine import Engine
from peatd.engine.y_py import YPy
from peatd.errors import PeatError, Unavailable
from peatd.names import DocumentKey, DocumentName
from peatd.requests import news, refusal
from peatd.update import MAX_DOCUMENT_BYTES

T = TypeVar("T")
_Work = Callable[[], Any]


class InProcessDocuments:
    """One engine, which a node and its memory share.

    Attributes:
        applied: how many updates it was given.
        diffs: how many diffs it was asked for, in pieces.
    """

    def __init__(self, log: Any, seed: random.Random, *, delay: Callable[[], float] = lambda: 0.0) -> None:
        self.applied = self.diffs = 0
        self.max_document_bytes = MAX_DOCUMENT_BYTES
        self._log = log
        self._turned: Callable[[], object] = lambda: None
        self._delay = delay
        self._engine = Engine(YPy(), lambda: seed.getrandbits(32))
        self._numbers: dict[DocumentKey, int] = {}
        self._last = 0
        self._send, self._receive = trio.open_memory_channel[Callable[[], Any]](100_000)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        async for work in self._receive:
            await trio.sleep(self._delay())
            await work()
            self._turned()

    def watch_turns(self, turned: Callable[[], object]) -> None:
        self._turned = turned

    def submit(
        self,
        key: DocumentKey,
        update: bytes,
        *,
        origin: str,
        then: Callable[[News], object],
        failed: Callable[[PeatError], object],
        former: Collection[int] = (),
        piece_bytes: int = 0,
        partly: bool = False,
    ) -> None:
        self.applied += 1
        how = {"former": list(former), "piece_bytes": piece_bytes, "partly": partly}
        request = partial(protocol.Apply, update=update, **how)
        self._submit(key, request, lambda reply: then(news(reply)), failed)

    async def room(self, name: DocumentName) -> None:
        await trio.lowlevel.checkpoint()

    def submit_diff(
        self,
        key: DocumentKey,
        state_vector: bytes,
        *,
        piece_bytes: int,
        origin: str,
        then: Callable[[list[bytes]], object],
        failed: Callable[[PeatError], object],
    ) -> None:
        self.diffs += 1
        request = partial(protocol.Diff, state_vector=state_vector, piece_bytes=piece_bytes)
        self._submit(key, request, lambda reply: then(reply.pieces), failed)

    async def apply(
        self, key: DocumentKey, update: bytes, *, origin: str, then: Callable[[News], T], former: Collection[int] = ()
    ) -> T:
        request = partial(protocol.Apply, update=update, former=list(former))
        return await self._call(key, request, lambda reply: then(news(reply)))

    async def edit(self, key: DocumentKey, edit: Edit, *, origin: str, then: Callable[[News], T]) -> T:
        def request(number: int) -> protocol.Request:
            return (
                protocol.Put(number, dict(edit.value))
                if isinstance(edit, Put)
                else protocol.Patch(number, dict(edit.merge_patch))
            )

        return await self._call(key, request, lambda reply: then(news(reply)))

    async def diff(self, key: DocumentKey, state_vector: bytes, then: Callable[[bytes], T]) -> T:
        return await self._call(key, lambda n: protocol.Diff(n, state_vector), lambda reply: then(reply.encoded))

    async def snapshot(self, key: DocumentKey, then: Callable[[bytes], T]) -> T:
        return await self._call(key, protocol.Snapshot, lambda reply: then(reply.encoded))

    async def read(self, key: DocumentKey, then: Callable[[protocol.Viewed], T]) -> T:
        return await self._call(key, protocol.Read, then)

    def close(self, key: DocumentKey) -> None:
        async def work() -> None:
            number = self._numbers.pop(key, None)
            if number is not None:
                self._engine.handle(protocol.Close(number))

        self._send.send_nowait(work)

    def _submit(
        self,
        key: DocumentKey,
        request: Callable[[int], protocol.Request],
        then: _Work,
        failed: Callable[[PeatError], object],
    ) -> None:
        async def work() -> None:
            try:
                reply = await self._ask(key, request)
            except PeatError as error:
                failed(error)
            else:
                then(reply)

        self._send.send_nowait(work)

    async def _call(self, key: DocumentKey, request: Callable[[int], protocol.Request], then: _Work) -> Any:
        done = trio.Event()
        outcome: list[Any] = []

        async def work() -> None:
            try:
                outcome.append(then(await self._ask(key, request)))
            except PeatError as error:
                outcome.append(error)
            done.set()

        await self._send.send(work)
        await done.wait()
        if isinstance(outcome[0], PeatError):
            raise outcome[0]
        return outcome[0]

    async def _ask(self, key: DocumentKey, request: Callable[[int], protocol.Request]) -> Any:
        if key not in self._numbers:
            log = (await self._log.load([key]))[key]
            self._last += 1
            rows = [row.update for row in log.updates]
            opened = self._engine.handle(protocol.Open(self._last, log.snapshot or b"", rows))
            assert isinstance(opened, protocol.Opened), opened
            self._numbers[key] = self._last
        reply = self._engine.handle(request(self._numbers[key]))
        match reply:
            case protocol.Refused():
                raise refusal(reply)
            case protocol.Panicked():
                del self._numbers[key]
                raise Unavailable(reply.reason)
        return reply
