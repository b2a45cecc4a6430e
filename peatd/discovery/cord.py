"""How the trio side wakes a thread that waits on a socket: by shutting that socket down."""

import socket
import threading
from contextlib import suppress


class Cord:
    """The sockets of one round, to be cut from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._cut = False

    @property
    def is_cut(self) -> bool:
        return self._cut

    def hold(self, sock: socket.socket) -> None:
        """Takes a duplicate of the socket, so that nobody closes under us what we are to shut down.

        Raises:
            ConnectionAbortedError: if the cord was cut already; the socket is closed.
        """
        with self._lock:
            if self._cut:
                sock.close()
                raise ConnectionAbortedError("the round was ended")
            self._sockets.append(sock.dup())

    def cut(self) -> None:
        """Ends what waits on a socket of this round, now or later. May be called more than once."""
        with self._lock:
            self._cut = True
            while self._sockets:
                with self._sockets.pop() as duplicate, suppress(OSError):
                    duplicate.shutdown(socket.SHUT_RDWR)
