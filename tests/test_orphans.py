"""Orphans are taken in; what somebody waits for is left to them. With real processes, which this one adopts as a
container's first process would: see PR_SET_CHILD_SUBREAPER in prctl(2)."""

import ctypes
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from peatd import orphans

_PR_SET_CHILD_SUBREAPER = 36
_WITHIN = 20

_WAITS = "import os; os.read(0, 1); os._exit(7)"
"""A process that lives until its stdin ends."""
_LEAVES_ONE = f"""
import subprocess, sys
print(subprocess.Popen([sys.executable, "-c", {_WAITS!r}], stdout=subprocess.DEVNULL).pid)
"""


class Child:
    """A process that ends when told so."""

    def __init__(self, pid: int, end: Callable[[], None]) -> None:
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)
        self._end = end

    def end(self) -> None:
        """Returns when it has ended; it is then a zombie until someone asks for its status."""
        self._end()
        assert select.select([self._pidfd], [], [], _WITHIN)[0]

    def is_there(self) -> bool:
        """Alive or a zombie."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, 0)
            return True
        return False

    def close(self) -> None:
        self._end()
        os.close(self._pidfd)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    set_subreaper = ctypes.CDLL(None).prctl
    assert set_subreaper(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    with ExitStack() as opened:
        yield opened
    set_subreaper(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def pipe(stack: ExitStack) -> tuple[int, Callable[[], None]]:
    """An end to read, and what closes the other."""
    reading, writing = os.pipe()
    stack.callback(os.close, reading)
    end = os.fdopen(writing, "wb").close  # may be called twice, unlike os.close
    stack.callback(end)
    return reading, end


@pytest.fixture
def orphan(stack: ExitStack) -> Callable[[], Child]:
    """Makes one: its parent is gone, and we are told nothing of it."""

    def make() -> Child:
        reading, end = pipe(stack)
        left = subprocess.run([sys.executable, "-c", _LEAVES_ONE], stdin=reading, stdout=subprocess.PIPE, check=True)
        child = Child(int(left.stdout), end)
        stack.callback(child.close)
        return child

    return make


@pytest.fixture
def own(stack: ExitStack) -> Callable[[], tuple[Child, "subprocess.Popen[bytes]"]]:
    """Starts one whose end somebody here waits for."""

    def start() -> tuple[Child, "subprocess.Popen[bytes]"]:
        reading, end = pipe(stack)
        popen = stack.enter_context(subprocess.Popen([sys.executable, "-c", _WAITS], stdin=reading))
        child = Child(popen.pid, end)
        stack.callback(child.close)
        return child, popen

    return start


async def gone(child: Child) -> None:
    with trio.fail_after(_WITHIN):
        while child.is_there():
            await trio.lowlevel.checkpoint()


async def test_orphans_are_taken_in_as_they_end(orphan: Callable[[], Child], nursery: trio.Nursery) -> None:
    first, second = orphan(), orphan()
    nursery.start_soon(orphans.reap, list)
    await wait_all_tasks_blocked()
    assert first.is_there()
    first.end()
    await gone(first)
    assert second.is_there()
    second.end()
    await gone(second)


async def test_one_that_ended_before_is_taken_in_too(orphan: Callable[[], Child], nursery: trio.Nursery) -> None:
    early = orphan()
    early.end()
    assert early.is_there(), "a zombie: nobody has asked for its status"
    nursery.start_soon(orphans.reap, list)
    await gone(early)


def test_without_children_there_is_nothing_to_do() -> None:
    assert orphans.reap_ended([])


async def test_what_was_started_here_keeps_its_status_for_who_started_it(
    orphan: Callable[[], Child],
    own: Callable[[], tuple[Child, "subprocess.Popen[bytes]"]],
    nursery: trio.Nursery,
) -> None:
    (child, popen), other = own(), orphan()
    nursery.start_soon(orphans.reap, lambda: [child.pid])
    child.end()
    other.end()
    await wait_all_tasks_blocked()
    assert child.is_there()
    assert popen.wait() == 7
    await gone(other)


def test_behind_one_of_ours_others_may_be_hidden(
    orphan: Callable[[], Child], own: Callable[[], tuple[Child, "subprocess.Popen[bytes]"]]
) -> None:
    (child, popen), other = own(), orphan()
    child.end()
    other.end()
    assert not orphans.reap_ended([child.pid])
    assert child.is_there()
    assert popen.wait() == 7
    assert orphans.reap_ended([child.pid])
    assert not other.is_there()


def test_what_another_thread_started_is_left_to_it(
    orphan: Callable[[], Child], own: Callable[[], tuple[Child, "subprocess.Popen[bytes]"]]
) -> None:
    started, ended = threading.Event(), threading.Event()
    statuses: list[int] = []

    def keep() -> None:
        child, popen = own()
        child.end()
        started.set()
        ended.wait(_WITHIN)
        statuses.append(popen.wait())

    thread = threading.Thread(target=keep)
    thread.start()
    assert started.wait(_WITHIN)
    other = orphan()
    other.end()
    assert orphans.reap_ended([])
    assert not other.is_there()
    ended.set()
    thread.join()
    assert statuses == [7]
