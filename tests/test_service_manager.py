"""What a service manager hears: real datagrams to a real socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from peatd.service_manager import ServiceManager


class Ear:
    """A service manager's socket."""

    def __init__(self, address: str) -> None:
        self.name = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """All datagrams so far, taken."""
        found: list[str] = []
        try:
            while True:
                found.append(self._socket.recv(4096).decode())
        except BlockingIOError:
            return found

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def ear(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ear]:
    made = Ear(str(tmp_path / "notify") if request.param == "path" else f"@peatd-test-{os.getpid()}-@")
    yield made
    made.close()


class FakeLinks:
    """As many as the test says."""

    def __init__(self) -> None:
        self.changed = trio.Event()
        self.count = 0

    def live(self) -> list[object]:
        return [object()] * self.count

    def become(self, count: int) -> None:
        self.count = count
        self.changed.set()
        self.changed = trio.Event()


async def test_it_hears_that_the_node_is_up_and_that_it_stops(ear: Ear) -> None:
    manager = ServiceManager(ear.name, None)
    await manager.ready()
    assert ear.heard() == ["READY=1"]
    await manager.stopping(0)
    assert ear.heard() == ["STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=10000000"]


async def test_a_long_drain_asks_for_the_time_it_takes(ear: Ear) -> None:
    await ServiceManager(ear.name, None).stopping(120.5)
    assert ear.heard() == ["STOPPING=1\nSTATUS=stopping; serves for 120.5 s more\nEXTEND_TIMEOUT_USEC=130500000"]


async def test_the_status_follows_the_links_until_it_stops(ear: Ear) -> None:
    manager, links = ServiceManager(ear.name, None), FakeLinks()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(manager.follow, links)
        await wait_all_tasks_blocked()
        for count in (1, 2):
            links.become(count)
            await wait_all_tasks_blocked()
        said = ["STATUS=up, linked with 0 peers", "STATUS=up, linked with 1 peer", "STATUS=up, linked with 2 peers"]
        assert ear.heard() == said
        await manager.stopping(0)
        links.become(0)
    assert len(ear.heard()) == 1, "that it stops is its last word"


async def test_it_hears_twice_as_often_as_it_wants_that_the_node_lives(ear: Ear, autojump_clock: MockClock) -> None:
    with trio.move_on_after(9.9):
        await ServiceManager(ear.name, 2.0).reassure(lambda: None)
    assert ear.heard() == ["WATCHDOG=1"] * 10


async def test_it_does_not_hear_that_while_a_part_is_stuck(ear: Ear, autojump_clock: MockClock) -> None:
    part = SimpleNamespace(stuck=None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ServiceManager(ear.name, 2.0).reassure, lambda: part.stuck)
        await trio.sleep(0.5)
        part.stuck = "the store"
        assert ear.heard() == ["WATCHDOG=1"]
        await trio.sleep(10)
        assert ear.heard() == []
        part.stuck = None
        await trio.sleep(1)
        assert ear.heard() == ["WATCHDOG=1"]
        nursery.cancel_scope.cancel()


async def test_without_one_nothing_is_said() -> None:
    manager = ServiceManager(None, None)
    with capture_logs() as logs, trio.fail_after(0):
        await manager.ready()
        await manager.reassure(lambda: None)
        await manager.stopping(0)
    assert logs == []


async def test_one_that_is_not_there_is_reported_once_per_failure(tmp_path: Path) -> None:
    name = str(tmp_path / "notify")
    manager = ServiceManager(name, None)
    with capture_logs() as logs:
        await manager.ready()
        await manager.stopping(0)
    (said,) = logs
    assert (said["log_level"], said["notify_socket"], said["reason"]) == ("warning", name, "No such file or directory")


async def test_one_that_hangs_hangs_nobody_else(ear: Ear, autojump_clock: MockClock) -> None:
    manager = ServiceManager(ear.name, None)
    with capture_logs() as logs, trio.fail_after(2):
        for _ in range(2000):  # more than any kernel's net.unix.max_dgram_qlen lets wait
            await manager.ready()
            if logs:
                break
    assert [said["reason"] for said in logs] == ["its queue is full"]
