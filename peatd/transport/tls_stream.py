"""TLS over any trio stream. What `trio.SSLStream` does, and three things that it does not:

1. When a handshake fails, the alert that says why is sent, so the peer's operator learns it too.
2. One `receive_some` returns all that has arrived (up to a bound), not one TLS record of 16 KiB.
3. `aclose` in the middle of a `send_all` is an abort, never a wait.

Like `trio.SSLStream` with `https_compatible=False`: an end without the peer's `close_notify` is a broken stream, a
cancelled `send_all` leaves it unusable, a cancelled `receive_some` does no harm.
"""

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
        self._usable = False

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
                with trio.move_on_after(_ALERT_DEADLINE):
                    await self._flush()
                raise trio.BrokenResourceError("the TLS handshake failed") from exc
            else:
                await self._flush()
                self._usable = True
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
        waited = False
        while True:
            decrypted = self._decrypt(limit)
            if decrypted is not None:
                if not waited:
                    await trio.lowlevel.checkpoint()
                return decrypted
            await self._fill()
            waited = True

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        usable, self._usable = self._usable, False
        if not usable:
            raise trio.BrokenResourceError("an earlier send did not finish")
        with memoryview(data) as view:
            for start in range(0, len(view), _ENCRYPT_BYTES):
                self._tls.write(view[start : start + _ENCRYPT_BYTES])
                await self._flush()
        # Not in a `finally`: half a record sent, and the next one would make no sense to the peer.
        self._usable = True

    async def wait_send_all_might_not_block(self) -> None:
        await self._transport.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Sends `close_notify` where that is possible still, and closes the transport."""
        usable, self._usable = self._usable, False
        try:
            if usable:
                self._close_notify()
                await self._flush()
        except trio.BrokenResourceError:
            pass
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
        try:
            while size_bytes < limit:
                chunk = self._tls.read(min(limit - size_bytes, _RECORD_BYTES))
                if not chunk:
                    break
                chunks.append(chunk)
                size_bytes += len(chunk)
        except ssl.SSLWantReadError:
            if not chunks:
                return None
        except ssl.SSLZeroReturnError:
            pass
        except ssl.SSLError as exc:
            # What came before the fault is good; the next call meets the fault again.
            if not chunks:
                raise trio.BrokenResourceError("the TLS stream broke") from exc
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

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
