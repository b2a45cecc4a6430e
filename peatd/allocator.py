"""What the C library keeps of memory that was freed: little. By itself it keeps more the more was ever freed at once.

glibc raises the size from which a block is given back on its own, to that of the largest block that was ever freed;
from then on large requests lie between small things that stay, and leave holes of which nothing goes back. Measured,
under ten times the load: 40 MiB of a node of 256 in two minutes.
"""

import contextlib
import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Of malloc.h, for mallopt(3)."""

_OWN_BYTES = 256 * 1024
"""Blocks from this size on go back when they are freed. It costs them a call of the kernel, and new pages: as much as
copying them does. What is read at once from a socket or a pipe is smaller."""

_KEPT_BYTES = 1024 * 1024
"""Free at the end of the heap, for what comes next."""


def give_back_what_is_freed() -> None:
    """For all of this process. Does nothing where the C library is another than glibc, which has its own ways."""
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _OWN_BYTES)
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_ARENA_MAX, 1)  # Python's lock lets one thread at a time allocate, and what is free is for all
