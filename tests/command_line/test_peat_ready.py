"""`peat ready`: a yes, a no with its reasons, or nobody."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from fakes.node_api import FakeNode
from run_peat import PROGRAM, PeatProcess

LONG_WAY = ("--wait", "0")
"""The probe's short way knows no --wait."""


@pytest.fixture
def peat(peat_process: PeatProcess) -> PeatProcess:
    return peat_process


@pytest.mark.parametrize("way", [(), LONG_WAY], ids=["short way", "long way"])
def test_a_ready_node_is_a_plain_yes(peat: PeatProcess, node: FakeNode, way: tuple[str, ...]) -> None:
    ended = peat("ready", *way)
    assert (ended.code, ended.out, ended.err) == (0, "ready\n", "")
    assert len(node.requests) == 1


@pytest.mark.parametrize("way", [(), LONG_WAY], ids=["short way", "long way"])
def test_over_tcp_it_needs_no_token(peat: PeatProcess, node: FakeNode, way: tuple[str, ...]) -> None:
    node.token = "s3cret"
    assert peat("ready", "--api", node.url, *way).out == "ready\n"
    assert peat("ready", *way, PEAT_API=node.url).out == "ready\n"


def test_not_ready_names_every_failing_check(peat: PeatProcess, node: FakeNode) -> None:
    node.failing = {"store": "no space left on device", "drain": "shutting down"}
    ended = peat("ready")
    assert (ended.code, ended.out) == (1, "")
    assert "store: no space left on device\n" in ended.err
    assert "drain: shutting down\n" in ended.err
    assert "identity" not in ended.err
    assert ended.err.endswith("peat-mesh-0 is not ready; `peat ready --wait 30` gives it time\n")


@pytest.mark.parametrize("failing", [{}, {"store": "full"}], ids=["ready", "not ready"])
def test_json_is_the_apis_body_either_way(peat: PeatProcess, node: FakeNode, failing: dict[str, str]) -> None:
    node.failing = failing
    ended = peat("ready", "--json")
    assert ended.code == (1 if failing else 0)
    assert json.loads(ended.out)["ready"] is not bool(failing)


def test_nobody_there_is_3_and_says_what_to_try(peat: PeatProcess, tmp_path: Path) -> None:
    ended = peat("ready", "--data-dir", str(tmp_path / "nowhere"))
    assert (ended.code, ended.out) == (3, "")
    assert "no daemon answers" in ended.err
    assert "--data-dir" in ended.err


def test_waiting_ends_with_the_first_yes(peat: PeatProcess, node: FakeNode) -> None:
    node.ready_after = 3
    assert peat("ready", "--wait", "60").out == "ready\n"
    assert len(node.requests) == 4


def test_waiting_ends_when_time_is_up(peat: PeatProcess, node: FakeNode) -> None:
    node.failing = {"store": "full"}
    ended = peat("ready", "--wait", "2")
    assert ended.code == 1
    assert "store: full" in ended.err
    assert len(node.requests) >= 2


def test_waiting_covers_a_daemon_that_does_not_answer_yet(peat: PeatProcess, tmp_path: Path) -> None:
    ended = peat("ready", "--wait", "0.2", "--data-dir", str(tmp_path))
    assert ended.code == 3


def test_interrupted_while_waiting_is_130(node: FakeNode, environ: dict[str, str]) -> None:
    node.failing = {"store": "full"}
    asked = node.expect_requests(2)
    with subprocess.Popen((*PROGRAM, "ready", "--wait", "600"), env=environ, stderr=subprocess.PIPE) as waiting:
        asked.wait(60)
        waiting.send_signal(2)
        _, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 130
    assert b"Traceback" not in err


@pytest.mark.parametrize("seconds", ["-1", "soon", "nan"])
def test_a_wait_is_a_number_of_seconds(peat: PeatProcess, node: FakeNode, seconds: str) -> None:
    ended = peat("ready", "--wait", seconds)
    assert (ended.code, ended.out) == (2, "")
    assert "--wait" in ended.err
    assert node.requests == []


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>welcome</html>"),
        (200, b'{"ready": false, "node_id": "x", "checks": []}'),
        (503, b'{"ready": true, "node_id": "x", "checks": []}'),
        (500, b"boom"),
        (404, b"<html>nginx</html>"),
        (301, b""),
    ],
)
def test_another_server_is_never_ready(peat: PeatProcess, node: FakeNode, status: int, body: bytes) -> None:
    node.canned["/api/v1/ready"] = (status, body)
    ended = peat("ready", "--wait", "30")
    assert ended.code == 4
    assert "ready\n" not in ended.out


def test_a_yes_that_nobody_reads_is_not_a_fault(node: FakeNode, environ: dict[str, str]) -> None:
    assert node.socket
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run((*PROGRAM, "ready"), env=environ, stdout=writer, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")
