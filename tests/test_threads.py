"""A machine without threads is told of like one without files."""

import errno
import threading

import pytest
import trio

from peatd.threads import needing_threads, run_in_thread


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python says it when the kernel refuses; `nox -s faults` has the kernel refuse."""

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(trio._threads, "start_thread_soon", lambda *_: start(threading.Thread()))


async def test_without_threads_it_is_an_error_of_the_machine_and_the_limiter_is_free(no_threads: None) -> None:
    limiter = trio.CapacityLimiter(1)
    with pytest.raises(OSError, match="no thread") as caught:
        await run_in_thread(int, limiter=limiter)
    assert caught.value.errno == errno.EAGAIN
    assert limiter.borrowed_tokens == 0


async def test_a_name_is_not_resolved_then(no_threads: None) -> None:
    with pytest.raises(OSError, match="no thread"), needing_threads():
        await trio.socket.getaddrinfo("localhost", 1)


async def test_what_the_work_raises_comes_as_it_is() -> None:
    def work() -> None:
        raise RuntimeError("of its own")

    with pytest.raises(RuntimeError, match="of its own"):
        await run_in_thread(work)
    assert await run_in_thread(divmod, 7, 2) == (3, 1)
