"""What one process has only one of, and what would make two runs of a seed differ: replaced while a run lasts.

Trio's order of tasks, `random`, the clocks, threads, the engine's process, and the log.
"""

import contextlib
import contextvars
import random
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import structlog
import trio
from sim.engine import EngineHere

from peatd import replication, worker

T = TypeVar("T")

BOOT_TIME = 1_800_000_000.0
"""What the clocks on the walls say when a run begins."""


class Actor(Protocol):
    """Whoever's code is running: one life of a node.

    Attributes:
        clock_offset: by how many seconds its wall clock is wrong.
    """

    clock_offset: float

    def thread_delay(self) -> float:
        """Seconds that a thread waits before it begins, or before its outcome is heard of."""

    def logged(self, level: str, event: str, fields: dict[str, Any]) -> None: ...

    def engine(self) -> EngineHere:
        """A new engine, in the place of a process."""


ACTING: contextvars.ContextVar[Actor] = contextvars.ContextVar("ACTING")
"""Set in the first task of a life; all others inherit it."""


@contextlib.contextmanager
def staged(seed: int, *, is_verbose: bool) -> Iterator[None]:
    """Makes the block a function of the seed."""
    with contextlib.ExitStack() as stack:
        replace = lambda where, name, new: stack.enter_context(replaced(where, name, new))  # noqa: E731
        # As Hypothesis has it: trio shuffles its tasks on purpose; seeded, it shuffles them the same way each time.
        replace(trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
        replace(trio._core._run, "_r", random.Random(seed))
        replace(trio.to_thread, "run_sync", _run_here)
        replace(worker, "WorkerProcess", lambda _command: ACTING.get().engine())
        replace(replication, "token_bytes", random.randbytes)
        replace(time, "time", _wall_clock)
        replace(time, "monotonic", trio.current_time)
        state = random.getstate()
        stack.callback(random.setstate, state)
        random.seed(seed)
        structlog.configure(
            processors=[_logged],
            wrapper_class=structlog.make_filtering_bound_logger("info" if is_verbose else "error"),
            cache_logger_on_first_use=False,
        )
        stack.callback(structlog.reset_defaults)
        yield


@contextlib.contextmanager
def replaced(where: Any, name: str, new: object) -> Iterator[None]:
    """While the block lasts, a module or a class has this under that name."""
    old = where.__dict__[name]
    setattr(where, name, new)
    try:
        yield
    finally:
        setattr(where, name, old)


async def _run_here(
    work: Callable[..., T],
    *args: object,
    thread_name: str | None = None,
    abandon_on_cancel: bool = False,
    limiter: trio.CapacityLimiter | None = None,
) -> T:
    """As `trio.to_thread.run_sync`: some time passes, all is done at one moment, and some time passes."""
    actor = ACTING.get()
    async with limiter or contextlib.nullcontext():
        with trio.CancelScope(shield=not abandon_on_cancel):
            await trio.sleep(actor.thread_delay())
            outcome = work(*args)
            await trio.sleep(actor.thread_delay())
            return outcome


def _wall_clock() -> float:
    actor = ACTING.get(None)
    return BOOT_TIME + trio.current_time() + (actor.clock_offset if actor is not None else 0.0)


def _logged(_logger: object, method: str, fields: Any) -> Any:
    event = str(fields.pop("event", ""))
    if fields.get("exc_info"):
        fields["exc_info"] = traceback.format_exc()
    ACTING.get().logged("error" if method in ("error", "critical", "exception") else method, event, dict(fields))
    raise structlog.DropEvent
