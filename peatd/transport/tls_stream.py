"""TLS over any trio stream. What `trio.SSLStream` does, and three things that it does not:

1. When a handshake fails, the alert that says why is sent, so the peer's operator learns it too.
2. One `receive_some` returns all that has arrived (up to a bound), not one TLS record of 16 KiB.
3. `aclose` in the middle of a `send_all` is an abort, never a wait.

Like `trio.SSLStream` with `https_compatible=False`: an end without the peer's `close_notify` is a broken stream, a
cancelled `send_all` leaves it unusable, a cancelled `receive_some` does no harm.
"""

import contextlib
import enum
import ssl

import trio

_RECORD_BYTES = 16 * 1024
"""What one TLS record holds at most (RFC 8446, 5.1), and one `read` returns: asking for more only allocates more."""
_READ_BYTES = 256 * 1024
"""Plaintext returned at once; bounds what one wake-up of the reader works on."""
_RECEIVE_BYTES = 128 * 1024
"""Ciphertext taken from the socket at once."""
_ENCRYPT_BYTES = 256 * 1024
"""Plaintext encrypted before it is sent: more would stall the loop and only sit in memory."""
_ALERT_DEADLINE = 1.0
"""Seconds that we try to tell a peer why its handshake failed."""


class _Sending(enum.Enum):
    IDLE = enum.auto()
    BUSY = enum.auto()
    BROKEN = enum.auto()
    """Not yet possible, or no more: after half a record the next one would make no sense to the peer."""


class TlsStream(trio.abc.Stream):
    """A TLS connection; nothing but `handshake` may be called before that has returned."""

    def __init__(
        self, transport: trio.abc.Stream, context: ssl.SSLContext, *, server_side: bool, server_name: str | None = None
    ) -> None:
        self._transport = transport
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_name
        )
        self._sending = _Sending.BROKEN
        self._is_closed = False
        self._fault: ssl.SSLError | None = None

    async def handshake(self) -> None:
        """Runs the TLS handshake.

        Raises:
            trio.BrokenResourceError: if it failed; the cause is an `ssl.SSLError` unless the transport broke.
        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLError as exc:
                with trio.move_on_after(_ALERT_DEADLINE), contextlib.suppress(trio.BrokenResourceError):
                    await self._flush()
                raise trio.BrokenResourceError("the TLS handshake failed") from exc
            else:
                await self._flush()
                self._sending = _Sending.IDLE
                return

    @property
    def peer_leaf(self) -> bytes | None:
        """The peer's certificate, DER. A server's is here as soon as it was verified, even if ours is then refused."""
        return self._tls.getpeercert(binary_form=True)

    @property
    def alpn(self) -> str | None:
        return self._tls.selected_alpn_protocol()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Plaintext that has arrived; waits for the first of it. `b""` after the peer's `close_notify`."""
        limit = _READ_BYTES if max_bytes is None else max_bytes
        if limit < 1:
            raise ValueError(f"max_bytes is {limit}: at least 1")
        waited = False
        while True:
            self._check_open()
            decrypted = self._decrypt(limit)
            if decrypted is not None:
                if not waited:
                    await trio.lowlevel.checkpoint()
                return decrypted
            await self._fill()
            waited = True

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._check_idle()
        if not data:
            await trio.lowlevel.checkpoint()
            return
        await trio.lowlevel.checkpoint_if_cancelled()
        self._sending = _Sending.BUSY
        try:
            with memoryview(data) as view:
                for start in range(0, len(view), _ENCRYPT_BYTES):
                    self._encrypt(view[start : start + _ENCRYPT_BYTES])
                    await self._flush()
        except BaseException:
            self._sending = _Sending.BROKEN
            raise
        self._sending = _Sending.IDLE

    def _encrypt(self, data: memoryview) -> None:
        try:
            self._tls.write(data)
        except ssl.SSLError as exc:  # the reader met the connection's end, or a fault in it, before we wrote
            raise trio.BrokenResourceError from exc

    async def wait_send_all_might_not_block(self) -> None:
        self._check_idle()
        await self._transport.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Sends `close_notify` where that is possible still, and closes the transport."""
        is_idle = self._sending is _Sending.IDLE and not self._is_closed
        self._is_closed = True
        try:
            if is_idle:
                self._close_notify()
                with contextlib.suppress(trio.BrokenResourceError):
                    await self._flush()
        finally:
            await self._transport.aclose()

    def _close_notify(self) -> None:
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            # Ours is queued; the peer's need not be waited for (RFC 8446, 6.1).
            return

    def _decrypt(self, limit: int) -> bytes | None:
        """Up to `limit` bytes of what has arrived; None if no record is complete."""
        chunks: list[bytes] = []
        size_bytes = 0
        chunk: bytes | None = None
        while size_bytes < limit:
            chunk = self._read_record(limit - size_bytes)
            if not chunk:
                break
            chunks.append(chunk)
            size_bytes += len(chunk)
        if chunks:
            # Records before the end, or before a fault, count first: the next call meets it again.
            return b"".join(chunks) if len(chunks) > 1 else chunks[0]
        if self._fault is not None:
            raise trio.BrokenResourceError("the TLS stream broke") from self._fault
        return chunk

    def _read_record(self, limit: int) -> bytes | None:
        """What is left of one record; None if none is complete, or after a fault."""
        try:
            return self._tls.read(min(limit, _RECORD_BYTES)) if self._fault is None else None
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLError as exc:
            self._fault = exc
            return None

    async def _fill(self) -> None:
        received = await self._transport.receive_some(_RECEIVE_BYTES)
        if received:
            self._incoming.write(received)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        encrypted = self._outgoing.read()
        if encrypted:
            await self._transport.send_all(encrypted)

    def _check_idle(self) -> None:
        self._check_open()
        if self._sending is _Sending.BUSY:
            raise trio.BusyResourceError("another task is sending on this stream")
        if self._sending is _Sending.BROKEN:
            raise trio.BrokenResourceError("an earlier send did not finish")

    def _check_open(self) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError("this stream was closed")
