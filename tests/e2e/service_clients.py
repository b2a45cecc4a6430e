"""Programs that read and write through a Service all the time, and try once more what fails. They remember it all."""

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_TIMEOUT = 30.0
_AGAIN = frozenset({502, 503})
"""Answers that say: not now, or not here."""


@dataclass(frozen=True, slots=True)
class Habit:
    """How a client uses its connection: for many requests, with a pause between them, or for one each."""

    name: str
    keeps: bool
    pause: float = 0.0


HABITS = (
    Habit("busy", keeps=True),
    Habit("calm", keeps=True, pause=0.9),
    Habit("sleepy", keeps=True, pause=6.5),  # longer than a drain: it learns of it by a connection that is closed
    Habit("brief", keeps=False, pause=0.01),
)


class ServiceClient(threading.Thread):
    """Attributes:

    asked: requests that were answered as they should be.
    retried: what failed once, and how.
    failed: what failed twice, and how.
    """

    def __init__(self, address: tuple[str, int], token: str, habit: Habit, kind: str) -> None:
        super().__init__(name=f"{kind}-{habit.name}", daemon=True)
        self.asked = 0
        self.retried: list[str] = []
        self.failed: list[str] = []
        self.stopped = threading.Event()
        self._habit = habit
        self._token = token
        self._connection = http.client.HTTPConnection(*address, timeout=_TIMEOUT)

    def run(self) -> None:
        with contextlib.closing(self._connection):
            while not self.stopped.wait(self._habit.pause):
                self.turn()

    def turn(self) -> None:
        raise NotImplementedError

    def ask(self, method: str, name: str, body: Any = None) -> bool:
        """Whether it was answered, at the first or the second try."""
        for problems in (self.retried, self.failed):
            try:
                status = self._ask_once(method, name, body)
            except (OSError, http.client.HTTPException) as error:
                problem = f"{method} {name}: {error!r}"
            else:
                if status in (200, 201):
                    self.asked += 1
                    return True
                problem = f"{method} {name}: {status}"
                if status not in _AGAIN:
                    problems = self.failed
            self._connection.close()
            problems.append(problem)
            if problems is self.failed:
                break
        return False

    def _ask_once(self, method: str, name: str, body: Any) -> int:
        encoded = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        self._connection.request(method, f"/api/v1/documents/{name}", encoded, headers)
        response = self._connection.getresponse()
        response.read()
        if not self._habit.keeps:
            self._connection.close()
        return response.status


class Reader(ServiceClient):
    """Reads one document that is always there."""

    def __init__(self, address: tuple[str, int], token: str, habit: Habit, document: str) -> None:
        super().__init__(address, token, habit, "reader")
        self._document = document

    def turn(self) -> None:
        self.ask("GET", self._document)


class Writer(ServiceClient):
    """Adds fields to one document, and makes documents of its own.

    Attributes:
        fields, documents: what was acknowledged.
    """

    def __init__(self, address: tuple[str, int], token: str, habit: Habit, document: str) -> None:
        super().__init__(address, token, habit, "writer")
        self.fields: dict[str, int] = {}
        self.documents: dict[str, Any] = {}
        self._document = document
        self._turn = 0

    def turn(self) -> None:
        self._turn += 1
        field, own = f"{self.name}-{self._turn}", f"{self._document}-{self.name}-{self._turn % 50}"
        if self._turn % 4:
            if self.ask("PATCH", self._document, {field: self._turn}):
                self.fields[field] = self._turn
        else:
            self.documents.pop(own, None)
            if self.ask("PUT", own, {"n": self._turn}):
                self.documents[own] = {"n": self._turn}


@contextlib.contextmanager
def visiting(address: tuple[str, int], token: str, document: str) -> Iterator[Sequence[ServiceClient]]:
    """A reader and a writer of each habit, for a block."""
    clients = [kind(address, token, habit, document) for habit in HABITS for kind in (Reader, Writer)]
    for client in clients:
        client.start()
    try:
        yield clients
    finally:
        for client in clients:
            client.stopped.set()
        for client in clients:
            client.join(3 * _TIMEOUT)
