"""Accepting connections for ever, also while the process has no file descriptor left for one."""

import errno

import trio

from peatd.limits import Limit, LimitHits

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE = 0.1
"""Seconds until accepting is tried again then: trio's own number. Without a pause it would spin."""


async def accept(listener: trio.SocketListener, hits: LimitHits) -> trio.SocketStream:
    """The next connection, once there is one and there is a descriptor for it."""
    while True:
        try:
            return await listener.accept()
        except OSError as exc:
            if exc.errno not in _EXHAUSTED:
                raise
            hits.hit(Limit.FILE_DESCRIPTORS, f"connections have to wait: {exc.strerror}; raise the limit (ulimit -n)")
            await trio.sleep(_PAUSE)
