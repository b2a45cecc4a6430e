"""Work in threads, on a machine that may have none left: the limit of processes counts threads, too.

trio keeps an idle thread for ten seconds and starts another when it has none. Where the kernel refuses that, Python
raises a bare `RuntimeError`, of which nobody who does input and output thinks. Here it is an `OSError` as of any other
thing that has run out, and whoever needs the thread treats it like one.
"""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import trio

Outcome = TypeVar("Outcome")

_REFUSED = "can't start new thread"
"""Python's words for it; it has neither a type nor a number of its own."""


@contextmanager
def needing_threads() -> Iterator[None]:
    """For a block in which a library starts a thread: trio does to resolve a name.

    Raises:
        OSError: (`EAGAIN`) if there is none to be had.
    """
    try:
        yield
    except RuntimeError as exc:
        if str(exc) != _REFUSED:
            raise
        raise OSError(
            errno.EAGAIN, "no thread can be started: raise the limit of processes (ulimit -u, pids.max)"
        ) from exc


async def run_in_thread(
    work: Callable[..., Outcome],
    *args: object,
    limiter: trio.CapacityLimiter | None = None,
    abandon_on_cancel: bool = True,
) -> Outcome:
    """`trio.to_thread.run_sync`.

    Raises:
        OSError: (`EAGAIN`) if no thread can be started. What `work` raises comes as it is.
    """
    with needing_threads():
        return await trio.to_thread.run_sync(work, *args, limiter=limiter, abandon_on_cancel=abandon_on_cancel)
