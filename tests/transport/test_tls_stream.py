"""TLS over a trio stream: trio's own acceptance tests of a stream, and what `TlsStream` adds to `SSLStream`."""

import ssl

import pytest
import trio
from fakes.links import OTHER_SECRET, SECRET, credentials
from trio.testing import check_two_way_stream, lockstep_stream_pair, memory_stream_pair

from peatd.transport.tls_stream import TlsStream


async def pair(transports: tuple[trio.abc.Stream, trio.abc.Stream]) -> tuple[TlsStream, TlsStream]:
    ours = TlsStream(transports[0], credentials("alice").initiating_contexts[0], server_side=False)
    theirs = TlsStream(transports[1], credentials("bob").receiving_context, server_side=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.handshake)
        nursery.start_soon(theirs.handshake)
    return ours, theirs


async def test_is_a_stream_as_trio_defines_it() -> None:
    async def over_memory() -> tuple[TlsStream, TlsStream]:
        return await pair(memory_stream_pair())

    await check_two_way_stream(over_memory, None)


async def test_works_over_a_transport_that_waits_for_each_write_to_be_read() -> None:
    ours, theirs = await pair(lockstep_stream_pair())
    received = bytearray()

    async def read() -> None:
        while chunk := await theirs.receive_some():
            received.extend(chunk)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await ours.send_all(b"x" * 100_000)
        await ours.aclose()
    assert received == b"x" * 100_000


async def test_one_read_returns_many_records() -> None:
    ours, theirs = await pair(memory_stream_pair())
    await ours.send_all(b"x" * 100_000)
    assert await theirs.receive_some() == b"x" * 100_000


async def test_a_read_has_a_bound() -> None:
    ours, theirs = await pair(memory_stream_pair())
    await ours.send_all(b"x" * 1_000_000)
    sizes_bytes: list[int] = []
    while sum(sizes_bytes) < 1_000_000:
        sizes_bytes.append(len(await theirs.receive_some()))
    assert max(sizes_bytes) <= 256 * 1024


async def test_a_cut_is_not_an_end() -> None:
    ours, theirs = await pair(memory_stream_pair())
    await ours.send_all(b"last words")
    await ours._transport.aclose()
    assert await theirs.receive_some() == b"last words"
    with pytest.raises(trio.BrokenResourceError):
        await theirs.receive_some()
    with pytest.raises(trio.BrokenResourceError):
        await theirs.receive_some()


async def test_writing_after_a_cut_was_read_is_a_broken_stream_too() -> None:
    transports = memory_stream_pair()
    ours, _theirs = await pair(transports)
    await transports[1].send_eof()
    with pytest.raises(trio.BrokenResourceError):
        await ours.receive_some()
    with pytest.raises(trio.BrokenResourceError):
        await ours.send_all(b"x")


async def test_bytes_before_a_forged_record_still_count() -> None:
    ours, theirs = await pair(memory_stream_pair())
    await ours.send_all(b"true")
    await ours._transport.send_all(b"\x17\x03\x03\x00\x20" + bytes(32))
    assert await theirs.receive_some() == b"true"
    with pytest.raises(trio.BrokenResourceError) as caught:
        await theirs.receive_some()
    assert isinstance(caught.value.__cause__, ssl.SSLError)


async def test_a_cancelled_receive_does_no_harm() -> None:
    ours, theirs = await pair(memory_stream_pair())
    with trio.CancelScope() as scope:
        scope.cancel()
        await theirs.receive_some()
    await ours.send_all(b"still here")
    assert await theirs.receive_some() == b"still here"


async def test_a_cancelled_send_breaks_the_stream_and_closing_does_not_wait() -> None:
    ours, _ = await pair(lockstep_stream_pair())
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.send_all, b"x")
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    with pytest.raises(trio.BrokenResourceError):
        await ours.send_all(b"y")
    await ours.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await ours.send_all(b"y")


async def test_the_refused_side_hears_why() -> None:
    transports = memory_stream_pair()
    stranger = TlsStream(
        transports[0], credentials("eve", OTHER_SECRET, SECRET).initiating_contexts[0], server_side=False
    )
    bob = TlsStream(transports[1], credentials("bob").receiving_context, server_side=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stranger.handshake)
        with pytest.raises(trio.BrokenResourceError):
            await bob.handshake()
    with pytest.raises(trio.BrokenResourceError) as caught:
        await stranger.receive_some()
    assert isinstance(caught.value.__cause__, ssl.SSLError)
    assert caught.value.__cause__.reason == "TLSV1_ALERT_UNKNOWN_CA"
