"""Tells whoever runs the node as a service how it is: sd_notify(3), a datagram each time.

systemd speaks it with `Type=notify`, and so do some container runtimes. Where nobody asked for it, nothing is said.
"""

import socket
from collections.abc import Callable

import structlog
import trio

from peatd.links import Links

log = structlog.get_logger()

_PATIENCE = 1.0
"""Seconds for room in its queue: a service manager that hangs must not hang us."""
_STOP = 10.0
"""Seconds that a stop may take beyond the drain's delay: twice what it takes at worst."""


class ServiceManager:
    """The other end of `$NOTIFY_SOCKET`."""

    def __init__(self, notify_socket: str | None, watchdog: float | None) -> None:
        """
        Args:
            notify_socket: a whole path, or `@` and an abstract name; None where nobody listens.
            watchdog: seconds within which it wants to hear that we live; None if it does not.
        """
        self._notify_socket = notify_socket
        self._watchdog = watchdog
        self._is_stopping = False
        self._failure: str | None = None

    async def ready(self) -> None:
        """The node is up: every listener listens."""
        await self._say("READY=1")

    async def follow(self, links: Links) -> None:
        """Keeps the line in `systemctl status` true, until the node stops."""
        while not self._is_stopping:
            changed, linked = links.changed, len(links.live())
            await self._say(f"STATUS=up, linked with {linked} {'peer' if linked == 1 else 'peers'}")
            await changed.wait()

    async def stopping(self, drain_delay: float) -> None:
        """The node was asked to stop, and may take this long, whatever the unit says."""
        self._is_stopping = True
        microseconds = round((drain_delay + _STOP) * 1e6)
        status = f"stopping; serves for {drain_delay:g} s more" if drain_delay else "stopping"
        await self._say("STOPPING=1", f"STATUS={status}", f"EXTEND_TIMEOUT_USEC={microseconds}")

    async def reassure(self, stuck: Callable[[], str | None]) -> None:
        """Says that the node lives, twice as often as is wanted, until cancelled.

        It is a task of the loop, so while the loop is stuck nothing is said; nor is it while `stuck` names a part that
        is. What does not live is then ended, and started again.
        """
        if self._watchdog is None:
            return
        while True:
            if stuck() is None:
                await self._say("WATCHDOG=1")
            await trio.sleep(self._watchdog / 2)

    async def _say(self, *lines: str) -> None:
        if self._notify_socket is None:
            return
        # The kernel knows an abstract name by the NUL that it begins with.
        address = self._notify_socket.replace("@", "\0", 1) if self._notify_socket[0] == "@" else self._notify_socket
        failure: str | None = "its queue is full"
        try:
            with trio.move_on_after(_PATIENCE), trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                await sender.connect(address)  # only of a connected one does the kernel say when there is room
                await sender.send("\n".join(lines).encode())
                failure = None
        except OSError as exc:
            failure = exc.strerror or str(exc)
        if failure is not None and failure != self._failure:
            log.warning("the service manager does not hear us", notify_socket=self._notify_socket, reason=failure)
        self._failure = failure
