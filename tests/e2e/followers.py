"""Those who follow a real node: a stream of events read in a thread, and `peat` processes that run until stopped."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from e2e.nodes import PATIENCE, Node, until

from cli.event_stream import Parser


class Follower:
    """One stream of events, read as long as it lasts.

    Attributes:
        told: kind and data of the events so far.
        ended: how the stream ended: `in order`, or `cut`.
    """

    def __init__(self, node: Node, query: str, since: str | None) -> None:
        self.told: list[tuple[str, Any]] = []
        self.ended: str | None = None
        self._parser = Parser(since)
        self._connection = node.connection(timeout=60)
        headers = {} if since is None else {"Last-Event-ID": since}
        self._connection.request("GET", f"/api/v1/events{query}", headers=headers)
        self._response = self._connection.getresponse()
        assert self._response.status == 200
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        until(lambda: self.position, "it says where it begins")

    @property
    def position(self) -> str | None:
        return self._parser.position

    def documents(self) -> list[tuple[str, str, str | None]]:
        """Type, name and origin of what it was told of documents."""
        found = [data for kind, data in self.told if kind == "document"]
        return [(data["type"], f"{data['collection']}/{data['id']}", data["origin"]) for data in found]

    def peers(self) -> list[tuple[str, str]]:
        return [(data["type"], data["peer"]["id"]) for kind, data in self.told if kind == "peer"]

    def resets(self) -> list[str]:
        return [data["reason"] for kind, data in self.told if kind == "reset"]

    def close(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            self._connection.sock.shutdown(2)
        self._thread.join()
        self._connection.close()

    def _read(self) -> None:
        try:
            while octets := self._response.read1(65536):
                self.told += [(event.kind, json.loads(event.data)) for event in self._parser.feed(octets)]
            self.ended = "in order"
        except (OSError, http.client.HTTPException):
            self.ended = "cut"


@contextlib.contextmanager
def following(node: Node, query: str = "", since: str | None = None) -> Iterator[Follower]:
    follower = Follower(node, query, since)
    try:
        yield follower
    finally:
        follower.close()


class Watching:
    """A `peat` whose streams go to files."""

    def __init__(self, directory: Path, arguments: tuple[str, ...], scratch: Path) -> None:
        program = shutil.which("peat")
        assert program is not None
        self._out, self._err = scratch / "watch.out", scratch / "watch.err"
        environ = {"PATH": os.environ["PATH"], "HOME": str(scratch), "PEAT_DATA_DIR": str(directory)}
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen([program, *arguments], env=environ, stdout=out, stderr=err)

    def out(self) -> str:
        return self._out.read_text()

    def last(self) -> Any:
        """The JSON in its last line that is whole."""
        return json.loads(self.out().rpartition("\n")[0].splitlines()[-1])

    def err(self) -> str:
        return self._err.read_text()

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)

    def until_it_says(self, text: str, where: Callable[[], str] | None = None) -> None:
        said = where or self.out
        until(lambda: text in said(), f"it says {text!r}: {said()!r}")


@contextlib.contextmanager
def watching(node: Node, scratch: Path, *arguments: str) -> Iterator[Watching]:
    watcher = Watching(node.directory, arguments, scratch)
    try:
        yield watcher
        assert "Traceback" not in watcher.err()
    finally:
        watcher.process.kill()
        watcher.process.wait()
