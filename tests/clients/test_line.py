"""The bytes on their way to one socket, a real one."""

import socket
from collections.abc import Iterator

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from peatd.clients.line import HIGH_BYTES, LOW_BYTES, Line


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def received(sock: socket.socket, size_bytes: int) -> bytes:
    return sock.recv(size_bytes, socket.MSG_WAITALL)


async def test_what_fits_is_sent_at_once_and_nobody_waits(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    line = Line(ours.fileno())
    line.send(b"one ")
    line.send_parts(b"two ", b"three")
    assert (received(theirs, 13), line.waiting_bytes, line.has_room) == (b"one two three", 0, True)


async def test_invariant_1_what_waits_for_room_goes_first_and_in_order(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    line = Line(ours.fileno())
    sent = [bytes((n,)) * 100_000 for n in range(20)]
    for number, data in enumerate(sent):
        if number % 2:
            line.send(data)
        else:
            line.send_parts(data[:10], data[10:])
    assert line.is_full
    assert not line.has_room
    drained = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(line.drain, drained.set)
        whole = await trio.to_thread.run_sync(received, theirs, sum(map(len, sent)))
        await drained.wait()
        nursery.cancel_scope.cancel()
    assert whole == b"".join(sent)
    assert line.waiting_bytes < LOW_BYTES < HIGH_BYTES


async def test_invariant_2_nothing_is_written_after_close(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    line = Line(ours.fileno())
    line.close()
    line.send(b"late")
    line.send_parts(b"later", b"still")
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)
    assert not line.has_room


async def test_a_line_whose_client_is_gone_closes(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.close()
    line = Line(ours.fileno())
    line.send(b"anybody?")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(line.drain, lambda: None)  # ends
        await wait_all_tasks_blocked()
        assert nursery.child_tasks == frozenset()


async def test_it_knows_when_something_was_taken_last(
    ends: tuple[socket.socket, socket.socket], mock_clock: MockClock
) -> None:
    line = Line(ends[0].fileno())
    mock_clock.jump(5)
    line.look(trio.current_time())
    assert line.moved_at == 0
    line.send(b"x")
    line.look(trio.current_time())
    assert line.moved_at == 5
