"""`peatd --demo` as its user has it: one command, three nodes, a page, and nothing left behind."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from e2e.nodes import PATIENCE, bare_environ, peatd, until
from e2e.processes import is_alive

NODES = ("node-1", "node-2", "node-3")


@dataclass
class Demo:
    """A running demo. `place` is where it keeps things, `url` its page."""

    process: subprocess.Popen[str]
    said: Path
    place: Path
    url: str

    def pids(self) -> list[int]:
        return [self.stated(name)["pid"] for name in NODES]

    def stated(self, name: str) -> dict[str, Any]:
        return dict(json.loads((self.place / name / "node.json").read_text()))

    def ask(self, method: str, path: str) -> tuple[int, Any]:
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.netloc, timeout=20)
        with contextlib.closing(connection):
            connection.request(method, f"{address.path}{path}")
            reply = connection.getresponse()
            body = reply.read()
            return reply.status, json.loads(body) if body.startswith(b"{") else body

    def nodes(self) -> dict[str, tuple[bool, set[str]]]:
        """Of each whether it runs, and whom it is linked to."""
        nodes = self.ask("GET", "nodes.json")[1]["nodes"]
        return {node["name"]: (node["running"], {link["to"] for link in node["links"]}) for node in nodes}

    def end(self, *signals: signal.Signals) -> int:
        for number in signals:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextlib.contextmanager
def demo(home: Path, *arguments: str, **environ: str) -> Iterator[Demo]:
    """Runs one; what it makes in the temporary directory is made in `home`, and whatever is left is killed."""
    said = home / "said"
    with said.open("wb") as out, (home / "warned").open("wb") as err:
        process = subprocess.Popen(
            [peatd(), "--demo", *arguments],
            env=bare_environ(home) | {"TMPDIR": str(home)} | environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            text=True,
        )
    pids: list[int] = []
    try:
        until(lambda: "Ctrl-C" in said.read_text() or process.poll() is not None, "it says where to look")
        assert process.poll() is None, (home / "warned").read_text()
        url = re.findall(r"http://\S+", said.read_text())[0]
        (first,) = re.findall(r"--data-dir (\S+)/node-1$", said.read_text(), re.MULTILINE)
        running = Demo(process, said, Path(first), url)
        pids = running.pids()
        yield running
    finally:
        process.terminate()  # and its nodes, where it has not told of them yet
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        process.kill()
        process.wait()
        for pid in filter(is_alive, pids):
            os.kill(pid, signal.SIGKILL)


def test_it_shows_three_linked_nodes_and_leaves_nothing(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        assert running.place.parent == tmp_path
        assert running.nodes() == {name: (True, set(NODES) - {name}) for name in NODES}
        assert b"<!doctype html>" in running.ask("GET", "")[1]
        assert running.ask("GET", "nodes/node-1/documents/demo/welcome")[1]["status"] == 404
        pids = running.pids()
        assert running.end(signal.SIGINT) == 0
        assert [pid for pid in pids if is_alive(pid)] == []
        assert not running.place.exists()
        assert (tmp_path / "warned").read_text() == "peatd: starting three nodes …\n"


@pytest.mark.parametrize("arguments", [[], ["--no-browser"]])
def test_the_page_is_opened_unless_it_is_not_wanted(tmp_path: Path, arguments: list[str]) -> None:
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    with demo(tmp_path, *arguments, BROWSER=str(browser)) as running:
        if not arguments:
            assert until(lambda: opened.exists() and opened.read_text(), "it is opened") == f"{running.url}\n"
        assert running.end(signal.SIGINT) == 0
    assert opened.exists() is not bool(arguments)


def test_a_node_is_killed_and_started_again(tmp_path: Path) -> None:
    with demo(tmp_path, "--no-browser") as running:
        (_, victim, _) = running.pids()
        assert running.ask("POST", "nodes/node-2/kill")[0] == 204
        assert not is_alive(victim)
        until(lambda: running.nodes()["node-1"] == (True, {"node-3"}), "the others notice")
        assert running.nodes()["node-2"] == (False, set())
        assert running.ask("GET", "nodes/node-2/documents/a/b")[1]["status"] == 503
        assert running.ask("POST", "nodes/node-2/start")[0] == 204
        until(lambda: running.nodes()["node-2"] == (True, {"node-1", "node-3"}), "it is back")
        assert running.end(signal.SIGTERM) == 0


def test_a_node_that_ends_by_itself_is_told_of(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        os.kill(running.pids()[2], signal.SIGKILL)
        until(lambda: "node-3 ended with signal 9" in (tmp_path / "warned").read_text(), "it says so")
        assert running.nodes()["node-3"] == (False, set())
        assert running.end(signal.SIGHUP) == 0


def test_a_directory_of_ones_own_stays(tmp_path: Path) -> None:
    place = tmp_path / "kept"
    with demo(tmp_path, "--data-dir", str(place)) as running:
        assert running.place == place
        device = running.stated("node-1")["device_id"]
        assert running.end(signal.SIGINT) == 0
    with demo(tmp_path, "--data-dir", str(place)) as running:
        assert running.stated("node-1")["device_id"] == device
        assert running.end(signal.SIGINT) == 0


def test_a_second_signal_ends_all_at_once(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        pids = running.pids()
        os.kill(pids[0], signal.SIGSTOP)  # it will not stop in order
        running.process.send_signal(signal.SIGINT)
        until(lambda: not is_alive(pids[1]), "the others stop")
        assert running.end(signal.SIGINT) == 130
        until(lambda: not any(map(is_alive, pids)), "nothing runs any more")
        assert not running.place.exists()


@pytest.mark.parametrize(("what", "whose"), [("node-2", "node-2"), ("formation-secret", "node-[123]")])
def test_what_cannot_start_says_why(tmp_path: Path, what: str, whose: str) -> None:
    place = tmp_path / "kept"
    place.mkdir()
    (place / what).write_text("not what should be here")
    run = subprocess.run(
        [peatd(), "--demo", "--data-dir", str(place)],
        env=bare_environ(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stdout) == (1, "")
    assert re.search(f"{whose} ended with exit code 2: peatd: ", run.stderr)
    assert run.stderr.count("\n") == 2
