"""Logs: a line per event, whatever is in it, and never a reason to wait or to fail."""

import contextlib
import json
import logging
import os
import pty
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from peatd.log import open_log
from peatd.log_backlog import MAX_BACKLOG_BYTES, Backlog
from peatd.log_lines import MAX_TEXT_LENGTH, plain, text_line

log = structlog.get_logger()


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("never")


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that nobody reads unless the test does."""
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        with contextlib.suppress(OSError):  # the test did it
            os.close(descriptor)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "log", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def written(descriptor: int) -> str:
    return os.pread(descriptor, 10 * MAX_BACKLOG_BYTES, 0).decode()


def objects(descriptor: int) -> list[dict[str, object]]:
    return [json.loads(line) for line in written(descriptor).splitlines()]


def test_json_is_one_object_per_line(file: int) -> None:
    with open_log(level="info", form="json", descriptor=file):
        log.info("link up", peer="bob", rtt=0.25, addresses=("10.0.0.1:11204",))
        log.warning("link down", peer="bob", error=TimeoutError("30 s of silence"))
    up, down = objects(file)
    assert up.pop("timestamp", "").endswith("Z")  # type: ignore[attr-defined]  # a string, as the next line would say
    assert up == {"level": "info", "event": "link up", "peer": "bob", "rtt": 0.25, "addresses": ["10.0.0.1:11204"]}
    assert down["error"] == "TimeoutError: 30 s of silence"


def test_text_reads_from_left_to_right(file: int) -> None:
    with open_log(level="info", form="text", descriptor=file):
        log.info("link up", peer="bob", message="a b", rtt=0.25)
    _, level, *rest = written(file).split()
    assert (level, " ".join(rest)) == ("info", 'link up peer=bob message="a b" rtt=0.25')


def test_what_is_below_the_level_is_not_logged(file: int) -> None:
    with open_log(level="warning", form="json", descriptor=file):
        log.info("nothing to do")
        log.warning("something to do")
    assert [line["event"] for line in objects(file)] == ["something to do"]


def test_context_of_a_task_is_in_its_lines(file: int) -> None:
    with open_log(level="info", form="json", descriptor=file), structlog.contextvars.bound_contextvars(peer="bob"):
        log.info("link up")
    assert objects(file)[0]["peer"] == "bob"


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_a_peer_says_cannot_begin_a_line_or_steer_the_terminal(file: int, form: str) -> None:
    evil = "x\n2025-01-01 info all is well\r\x1b[2J\x9b2J\u2028"
    with open_log(level="info", form=form, descriptor=file):
        log.info(evil, **{"field\n" + evil: evil}, nested={evil: [evil]})
    text = written(file)
    assert text.count("\n") == 1
    assert text.splitlines() == [text.removesuffix("\n")]
    assert text.removesuffix("\n").isprintable()


def test_only_a_terminal_gets_colours(file: int) -> None:
    controller, terminal = pty.openpty()
    try:
        for descriptor in (file, terminal):
            with open_log(level="info", form="text", descriptor=descriptor):
                log.info("link up")
        assert "\x1b[" in os.read(controller, 4096).decode()
        assert "\x1b" not in written(file)
    finally:
        os.close(controller)
        os.close(terminal)


def test_a_traceback_is_in_the_line(file: int) -> None:
    with open_log(level="info", form="json", descriptor=file):
        try:
            int("culprit")
        except ValueError:
            log.exception("it went wrong")
    (line,) = objects(file)
    assert line["level"] == "error"
    assert str(line["exception"]).endswith("'culprit'")


def test_a_traceback_as_text_is_indented(file: int) -> None:
    with open_log(level="info", form="text", descriptor=file):
        log.error("it went wrong", exc_info=ValueError("the culprit"))
    first, *traceback = written(file).splitlines()
    assert first.endswith("it went wrong")
    assert traceback == ["    ValueError: the culprit"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_value_that_cannot_be_shown_does_no_harm(file: int, form: str) -> None:
    endless: list[object] = []
    endless.append(endless)
    with open_log(level="info", form=form, descriptor=file):
        log.info("odd", value=Unprintable())
        log.info("odd", value=endless, number=10**400, nothing=float("nan"), broken="\udcff", level="loud")
        (*_, ours) = logging.getLogger().handlers
        # Not through its logger: pytest listens there too, and does raise.
        ours.handle(logging.LogRecord("hypercorn", logging.ERROR, "", 0, "%d of %d", ("one",), None))
    assert [("RuntimeError" in line, "odd" in line, "%d of %d" in line) for line in written(file).splitlines()] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]


def test_values_are_bounded() -> None:
    assert plain("x" * 10**6) == "x" * MAX_TEXT_LENGTH
    assert plain(b"\xff" * 10**6) == "ff" * 32
    assert len(str(plain([["x"] * 1000] * 1000))) < 64 * 64 * 10
    assert plain({1: {2: {3: {4: {5: 6}}}}}) == {"1": {"2": {"3": {"4": "{5: 6}"}}}}


def test_libraries_are_heard_from_warning_on(file: int) -> None:
    with open_log(level="debug", form="json", descriptor=file):
        logging.getLogger("urllib3").info("connecting")
        logging.getLogger("kubernetes.client").warning("%s is deprecated", "v1beta1")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("soon gone", DeprecationWarning, stacklevel=1)
    deprecated, gone = objects(file)
    assert (deprecated["logger"], deprecated["event"]) == ("kubernetes.client", "v1beta1 is deprecated")
    assert (gone["logger"], gone["level"]) == ("py.warnings", "warning")


def test_nothing_is_left_behind(file: int) -> None:
    handlers = list(logging.getLogger().handlers)
    with open_log(level="info", form="json", descriptor=file):
        pass
    assert logging.getLogger().handlers == handlers
    assert not structlog.is_configured()


def lost(count: int) -> bytes:
    return b"lost %d\n" % count


def drain(reader: int) -> bytes:
    return b"".join(iter(lambda: os.read(reader, 1 << 20), b""))


def fill(backlog: Backlog, line: bytes) -> int:
    """Puts lines until the stalled pipe and the backlog are full; how many were put."""
    count = 2 * MAX_BACKLOG_BYTES // len(line)
    for _ in range(count):
        backlog.put(line)
    return count


def test_invariant_1_and_2_a_stalled_pipe_stalls_nobody(pipe: tuple[int, int]) -> None:
    backlog = Backlog(pipe[1], lost)
    fill(backlog, b"x" * 99 + b"\n")  # would hang here if it waited
    assert backlog._pending_bytes <= MAX_BACKLOG_BYTES
    assert not backlog.flush(timeout=0)
    backlog.close(timeout=0)
    os.close(pipe[0])  # frees the thread, which must not write to whatever gets this descriptor next
    backlog.close(timeout=10)


def test_invariant_3_lost_lines_are_counted_where_they_are_missing(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    backlog = Backlog(writer, lost)
    numbers = [b"%099d\n" % number for number in range(2 * MAX_BACKLOG_BYTES // 100)]
    for line in numbers:
        backlog.put(line)
    # Every line is either there or missing where a notice stands.
    received = b""
    expected = 0
    while expected < len(numbers):
        received += os.read(reader, 1 << 20)
        *lines, received = received.split(b"\n")
        for line in lines:
            if line.startswith(b"lost "):
                expected += int(line.removeprefix(b"lost "))
            else:
                assert int(line) == expected
                expected += 1
    assert expected == len(numbers)
    backlog.put(b"after\n")
    backlog.close(timeout=10)
    os.close(writer)
    assert drain(reader) == b"after\n"


def test_a_reader_that_is_gone_costs_lines_and_nothing_else(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    backlog = Backlog(writer, lost)
    backlog.put(b"one\n")
    assert backlog.flush(timeout=10)
    reader, other = os.pipe()
    os.dup2(other, writer)
    os.close(other)
    backlog.put(b"two\n")
    backlog.close(timeout=10)
    os.close(writer)
    assert drain(reader) == b"lost 1\ntwo\n"
    os.close(reader)


def test_a_descriptor_that_somebody_made_non_blocking_is_waited_for(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.set_blocking(writer, False)
    backlog = Backlog(writer, lost)
    for _ in range(5000):
        backlog.put(b"x" * 99 + b"\n")
    received = os.read(reader, 1)
    while len(received) < 5000 * 100:
        received += os.read(reader, 1 << 20)
    assert b"lost" not in received
    backlog.close(timeout=10)


def test_a_process_ends_although_its_stderr_is_stalled(pipe: tuple[int, int]) -> None:
    program = """
import structlog
from peatd.log import open_log
with open_log(level="info", form="json"):
    for number in range(20_000):
        structlog.get_logger().info("on and on", number=number)
"""
    run = subprocess.run([sys.executable, "-c", program], stderr=pipe[1], timeout=30, check=False)
    assert run.returncode == 0


def test_text_without_fields_has_no_trailing_blanks() -> None:
    assert text_line(is_coloured=False)("now", "info", "up", {}) == "now info     up"
