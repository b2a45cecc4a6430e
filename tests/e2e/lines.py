"""Lines between programs: TCP as slow as a real one, which can be cut and mended. Threads of this process."""

import contextlib
import socket
import threading
import time
from typing import Self

_CHUNK_BYTES = 16 * 1024
_BUFFER_BYTES = 64 * 1024
"""Of a socket: what stands in a line's queues is little, so whoever sends feels how slow it is."""
_TURN = 0.2
"""Seconds between two looks at whether it was cut."""


class Line:
    """Passes on what comes to `address`, both ways.

    Args:
        rate: bytes a second, each way and of each connection; None: as fast as it goes.

    Attributes:
        passed_bytes: so many have come through, both ways together.
    """

    def __init__(self, address: str, target: str, *, rate: float | None = None) -> None:
        self.address = address
        self.passed_bytes = 0
        self._target = _split(target)
        self._rate = rate
        self._is_whole = threading.Event()
        self._is_whole.set()
        self._is_closed = False
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(_split(address))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Ends what is connected, and lets nobody through until `mend`."""
        self._is_whole.clear()
        with self._lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._is_whole.set()

    def close(self) -> None:
        """For good."""
        self._is_closed = True
        self.cut()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits for somebody
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if not self._is_whole.is_set():
                near.close()
                continue
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        with near:
            try:
                far = self._dial()
            except OSError:
                return
            with far:
                far.settimeout(None)
                for end in (near, far):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
                with self._lock:
                    self._connections |= {near, far}
                back = threading.Thread(target=self._pass, args=(far, near), daemon=True)
                back.start()
                self._pass(near, far)
                back.join()
                with self._lock:
                    self._connections -= {near, far}

    def _dial(self) -> socket.socket:
        far = socket.socket()
        try:
            far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            far.settimeout(10)
            far.connect(self._target)
        except OSError:
            far.close()
            raise
        return far

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        free_at = time.monotonic()
        with contextlib.suppress(OSError):
            while self._is_whole.is_set() and (chunk := source.recv(_CHUNK_BYTES)):
                sink.sendall(chunk)
                with self._lock:
                    self.passed_bytes += len(chunk)
                if self._rate is not None:
                    free_at = max(free_at, time.monotonic() - _TURN) + len(chunk) / self._rate
                    time.sleep(max(0.0, free_at - time.monotonic()))
        for end in (source, sink) if not self._is_whole.is_set() else (sink,):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR if end is source else socket.SHUT_WR)


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)
