"""One document in engines of both kinds and in stock Yjs, fed the same: do they take the same, and is it the same?"""

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from fakes.yjs import Loaded, YjsClients

from peatd.engine.items import Branch, Item
from peatd.engine.protocol import (
    Apply,
    Close,
    Diff,
    Done,
    Encoded,
    Frames,
    Merged,
    NotOpen,
    Open,
    Opened,
    Read,
    Refused,
    Reply,
    Request,
    decode_replies,
    frame,
)
from peatd.engine.tree import Tree
from peatd.reach import EMPTY_STATE_VECTOR, Reach
from peatd.structs import TYPE
from peatd.update import check, examine

ROUNDS = 4
"""Of everybody telling everybody: deletions follow from deletions."""

_PATIENCE = 30.0
_MEMORY_BYTES = 1024**3


class EngineProcess:
    """The engine's process, as a node has it, and another when it dies.

    Attributes:
        deaths: how often it did, or had to be killed.
    """

    def __init__(self, engine: str) -> None:
        self.deaths = 0
        self.numbers = count(1)
        self._engine = engine
        self._start()

    def ask(self, request: Request) -> Reply | None:
        """The reply; None if it died of it."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(frame(request))
            self._process.stdin.flush()
            return self._reply()
        except (BrokenPipeError, EOFError):
            self.deaths += 1
            self.end()
            self._start()
            return None

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _start(self) -> None:
        arguments = ("--engine", self._engine, "--memory-bytes", str(_MEMORY_BYTES), "--parent", str(os.getpid()))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "peatd.engine", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"RUST_BACKTRACE": "0", "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self._frames = Frames()
        assert isinstance(self._reply(), Done)

    def _reply(self) -> Reply:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while True:
            if not select.select([descriptor], [], [], _PATIENCE)[0]:
                raise EOFError("it hangs")
            received = os.read(descriptor, 2**20)
            if not received:
                raise EOFError("it has died")
            if replies := list(decode_replies(self._frames.receive(received))):
                (reply,) = replies
                return reply


@contextmanager
def engines() -> Iterator[dict[str, EngineProcess]]:
    """One of each kind."""
    running = {name: EngineProcess(name) for name in ("y-py", "pycrdt")}
    try:
        yield running
    finally:
        for process in running.values():
            process.end()


@dataclass
class Fed:
    """A document in one engine, opened anew from its log whenever the engine drops it, as a node does.

    Attributes:
        log: the news of what was taken.
    """

    engine: EngineProcess
    log: list[bytes] = field(default_factory=list)
    reach: Reach = field(default_factory=Reach)
    _number: int = 0

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        """Anew, from its log."""
        self.close()
        self._number = next(self.engine.numbers)
        opened = self.engine.ask(Open(self._number, b"", self.log))
        assert isinstance(opened, Opened), (opened, [row.hex() for row in self.log])
        anew = Reach.decode(opened.reach)
        # It may have deleted more: what a hostile program put between what does not belong together.
        assert anew.state_vector() == self.reach.state_vector(), "opened anew, it has lost something"
        self.reach = anew

    def close(self) -> None:
        """The engine forgets it."""
        self._ask(Close)

    def apply(self, update: bytes) -> Merged | Refused | None:
        """What became of the update; None if the library did not survive it."""
        reply = self._ask(Apply, update)
        if isinstance(reply, Merged):
            if reply.news:
                self.log.append(reply.news)
                self.reach.absorb(reply.content())
            return reply
        if isinstance(self._ask(Diff, EMPTY_STATE_VECTOR), NotOpen):
            self.open()
        return reply if isinstance(reply, Refused) else None

    def whole(self) -> bytes:
        """All of it as one update."""
        encoded = self._ask(Diff, EMPTY_STATE_VECTOR)
        assert isinstance(encoded, Encoded), encoded
        return encoded.encoded

    def read(self) -> Reply | None:
        return self._ask(Read)

    def _ask(self, request: Any, *arguments: Any) -> Reply | None:
        return self.engine.ask(request(self._number, *arguments))


def digest(update: bytes) -> bytes:
    """Names what a copy has that has merged this."""
    reach = Reach()
    reach.absorb(check(update, subdocuments=True))
    return reach.digest()


def places(update: bytes) -> dict[str, Sequence[str]]:
    """As `tests/yjs/structure.mjs` has them, but made by our tree."""
    tree = Tree()
    tree.integrate(update, examine(update, subdocuments=True))
    found: dict[str, Sequence[str]] = {}
    waiting = [(f"root {name}", root) for name, root in tree.roots.items()]

    def note(item: Item, offset: int) -> str:
        place = f"{item.client}:{item.clock + offset}"
        if item.ref == TYPE:
            waiting.append((place, item.content[0]))
        return place

    while waiting:
        container, branch = waiting.pop()
        if ids := _sequence(branch, note):
            found[container] = ids
        for key in branch.entries:
            if (item := branch.value_of(key)) is not None:
                found[f"{container}|{key}"] = [note(item, item.length - 1)]
    return found


def _sequence(branch: Branch, note: Callable[[Item, int], str]) -> list[str]:
    return [note(item, offset) for item in branch.sequence() for offset in range(item.length)]


def exchange(yjs: YjsClients, copies: Mapping[str, Fed]) -> list[str]:
    """What is not the same once everybody has told everybody what they have, a program of stock Yjs among them."""
    seen: list[bytes] = []
    for _ in range(ROUNDS):
        for name, fed in copies.items():
            seen.append(fed.whole())
            for other, receiver in copies.items():
                if other != name and not isinstance(reply := receiver.apply(fed.whole()), Merged):
                    return [f"{other} does not take what {name} has: {_shown(reply)}"]
        (stock,) = yjs.load(seen)
        if stock.error:
            return [f"Yjs: {stock.error}"]
        for name, fed in copies.items():
            if not isinstance(reply := fed.apply(stock.update), Merged):
                return [f"{name} does not take what Yjs has: {_shown(reply)}"]
    return list(_differences(yjs, copies, stock))


DISAGREES = "Yjs disagrees with itself"


def _differences(yjs: YjsClients, copies: Mapping[str, Fed], stock: Loaded) -> Iterator[str]:
    wholes = {name: fed.whole() for name, fed in copies.items()}
    fresh, *joined = yjs.load([stock.update], *([whole] for whole in wholes.values()))
    is_settled = (fresh.places, fresh.values) == (stock.places, stock.values)
    if not is_settled:
        yield DISAGREES
    for (name, fed), client in zip(copies.items(), joined, strict=True):
        if fed.reach.digest() != digest(stock.update):
            yield f"state: {name} and Yjs"
        if client.error or (is_settled and (client.places, client.values) != (stock.places, stock.values)):
            yield f"a client of {name}: {client.error or 'another document'}"
        if is_settled and places(wholes[name]) != dict(stock.places):
            yield f"places: {name} and Yjs"
    first, *others = (fed.read() for fed in copies.values())
    if is_settled and any(other != first for other in others):
        yield "JSON"


def _shown(reply: object) -> str:
    return f"{type(reply).__name__} {getattr(reply, 'message', '')}"
