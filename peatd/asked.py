"""What a caller of the engine waits on."""

from collections.abc import Callable
from typing import Generic, TypeVar

import trio

from peatd.engine.protocol import Refused, Reply
from peatd.errors import PeatError
from peatd.requests import refusal

T = TypeVar("T")


class Asked(Generic[T]):
    """A caller that waits for its reply. The reply is used when it comes, whether or not the caller still waits."""

    def __init__(self, use: Callable[[Reply], T]) -> None:
        self._use = use
        self._is_done = trio.Event()
        self._outcome: T | PeatError

    def answered(self, reply: Reply) -> None:
        try:
            self._outcome = refusal(reply) if isinstance(reply, Refused) else self._use(reply)
        except PeatError as exc:
            self._outcome = exc
        self._is_done.set()

    def failed(self, error: PeatError) -> None:
        self._outcome = error
        self._is_done.set()

    async def wait(self) -> T:
        await self._is_done.wait()
        if isinstance(self._outcome, PeatError):
            raise self._outcome
        return self._outcome
