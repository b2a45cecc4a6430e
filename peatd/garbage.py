"""When Python's collector looks through everything: once memory has grown, and not once so many objects were made.

What has ended, a client's session or a link, is often an island whose parts know each other, and is large by the bytes
it has read. The collector counts objects, and would come after a million islands.
"""

import gc
import resource
from pathlib import Path

import trio

INTERVAL = 5.0
"""Seconds between two looks, which take some microseconds. A collection takes 20 ms, and 100 of a table of 100,000."""

_PAGE_BYTES = resource.getpagesize()


async def collect_when_grown(step_bytes: int) -> None:
    """Collects whenever so much more is resident than after the last time, until cancelled."""
    least = _resident_bytes()
    while True:
        await trio.sleep(INTERVAL)
        resident = _resident_bytes()
        if resident - least >= step_bytes:
            gc.collect()
            resident = least = _resident_bytes()
        least = min(least, resident)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
