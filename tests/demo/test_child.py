"""One node of a demo, as a process: here a shell that does what the test says."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from peatd.demo.child import Child
from peatd.demo.places import Place, lay_out

WAITS = "import os, signal, sys; open(sys.argv[1], 'w').write(str(os.getpid())); signal.pause()"
"""Says that it is up, and then waits for a signal."""
IGNORES = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAITS}"
FAILS = "print('one line'); print('the reason', flush=True); raise SystemExit(3)"


@pytest.fixture
def place(tmp_path) -> Place:
    place = lay_out(tmp_path)[0]
    place.directory.mkdir()
    os.mkfifo(place.directory / "up")
    return place


@asynccontextmanager
async def running(place: Place, program: str) -> AsyncIterator[Child]:
    child = Child(place, [sys.executable, "-c", program, str(place.directory / "up")], os.environ)
    await child.start()
    try:
        yield child
    finally:
        await child.kill()


async def up(place: Place) -> int:
    """Waits until the program has said so; its process id."""
    return int(await trio.to_thread.run_sync((place.directory / "up").read_text))


async def test_invariant_1_it_is_started_once(place: Place) -> None:
    async with running(place, WAITS) as child:
        pid = await up(place)
        await child.start()
        assert child.is_running
        await child.kill()
        with pytest.raises(ProcessLookupError):  # the second would have taken the place of the first
            os.kill(pid, 0)


async def test_it_is_killed_and_started_again(place: Place) -> None:
    async with running(place, WAITS) as child:
        pid = await up(place)
        await child.kill()
        assert not child.is_running
        await child.kill()
        await child.start()
        assert await up(place) != pid
        assert child.is_running


async def test_it_is_stopped_in_order(place: Place) -> None:
    async with running(place, WAITS) as child:
        await up(place)
        await child.stop()
        assert child.last_words() == f"node-1 ended with signal 15: it has logged nothing (its log: {place.log})"
        await child.stop()


async def test_invariant_3_who_was_stopped_is_not_started_again(place: Place) -> None:
    async with running(place, WAITS) as child:
        await up(place)
        await child.stop()
        await child.start()
        assert not child.is_running


async def test_who_does_not_stop_is_killed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peatd.demo.child.STOPPING", 0.1)
    async with running(place, IGNORES) as child:
        await up(place)
        await child.stop()
        assert child.last_words().startswith("node-1 ended with signal 9")


async def test_invariant_2_an_end_that_nobody_asked_for_is_told_once(place: Place, nursery: trio.Nursery) -> None:
    told: list[str] = []
    heard = trio.Event()

    def hear(words: str) -> None:
        told.append(words)
        heard.set()

    async with running(place, FAILS) as child:
        nursery.start_soon(child.watch, hear)
        await heard.wait()
        await child.start()
        heard = trio.Event()
        await heard.wait()
    assert told == [f"node-1 ended with exit code 3: the reason (its log: {place.log})"] * 2
    nursery.cancel_scope.cancel()


async def test_invariant_2_an_end_that_was_asked_for_is_not_told(place: Place, nursery: trio.Nursery) -> None:
    told: list[str] = []
    async with running(place, WAITS) as child:
        nursery.start_soon(child.watch, told.append)
        await up(place)
        await child.kill()
        await child.start()
        await up(place)
        await child.stop()
    await trio.testing.wait_all_tasks_blocked()
    assert told == []
    nursery.cancel_scope.cancel()
