"""A connection's stream as hypercorn is given it: no call on it lasts for ever.

hypercorn sends in a shielded scope without a deadline, so one client that stops reading would hold up the shutdown for
ever; and it closes while the request's body is still arriving, which on TCP destroys the answer in flight.
"""

import trio

PIECE_BYTES = 64 * 1024
"""What is sent under one deadline, so that a large answer over a slow link has the time it needs."""

LINGER = 1.0
"""Seconds that we go on reading what nobody wants, so that the client can read our answer."""


class BoundedStream:
    """A socket stream whose sends have deadlines, and whose reader ends when it is closed.

    Invariants:
        1. After `aclose()` or `abort()` every call raises, in its own task and in others.
        2. A send that makes no progress for `send_timeout` aborts the connection.
    """

    def __init__(self, stream: trio.SocketStream, send_timeout: float) -> None:
        self.socket = stream.socket
        self._stream = stream
        self._send_timeout = send_timeout
        self._reading: trio.CancelScope | None = None
        self._has_said_all = False
        self._closed = False

    async def receive_some(self, max_bytes: int) -> bytes:
        """Raises: ClosedResourceError, also when closed meanwhile by another task; BrokenResourceError."""
        self._require_open()
        with trio.CancelScope() as self._reading:
            return await self._stream.receive_some(max_bytes)
        raise trio.ClosedResourceError("the connection was closed by another task")

    async def send_all(self, octets: bytes) -> None:
        """Raises: ClosedResourceError, BrokenResourceError (also when the client has stopped reading)."""
        self._require_open()
        if self._has_said_all:
            raise trio.ClosedResourceError("our side of the connection is closed")
        view = memoryview(octets)
        for start in range(0, len(view), PIECE_BYTES):
            with trio.move_on_after(self._send_timeout) as patience:
                await self._stream.send_all(view[start : start + PIECE_BYTES])
            if patience.cancelled_caught:  # Invariant 2: the client has part of a piece, so nothing more can be said
                self.abort()
                raise trio.BrokenResourceError("the client has stopped reading")

    async def send_eof(self) -> None:
        """Raises: ClosedResourceError, BrokenResourceError."""
        self._require_open()
        self._has_said_all = True
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Ends the conversation. The socket itself stays until `finish`, which may have to linger."""
        self._closed = True
        if self._reading is not None:  # Invariant 1
            self._reading.cancel()

    def abort(self) -> None:
        """Ends it now, in every task."""
        self._closed = True
        self.socket.close()

    async def finish(self, *, linger: bool) -> None:
        """Closes the socket.

        Args:
            linger: first read away what still comes, for a while (RFC 9112 §9.6): closing with bytes unread makes the
                kernel send RST, at which the client's kernel throws our answer away.
        """
        try:
            if linger:
                await self._stream.send_eof()
                with trio.move_on_after(LINGER):
                    while await self._stream.receive_some(PIECE_BYTES):
                        pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.abort()

    def _require_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("the connection is closed")
