"""One document in engines of both kinds and in stock Yjs, fed the same: do they take the same, and is it the same?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from fakes.yjs import Loaded, YjsClients

from peatd.engine.engine import Engine
from peatd.engine.items import Branch, Item
from peatd.engine.library import Library
from peatd.engine.protocol import Apply, Close, Diff, Encoded, Merged, NotOpen, Open, Opened, Read, Refused, Reply
from peatd.engine.pycrdt import Pycrdt
from peatd.engine.tree import Tree
from peatd.engine.y_py import YPy
from peatd.reach import EMPTY_STATE_VECTOR, Reach
from peatd.structs import TYPE
from peatd.update import check, examine

ROUNDS = 4

LIBRARIES: dict[str, Callable[[], Library]] = {"y-py": YPy, "pycrdt": Pycrdt}


@dataclass
class Fed:
    """A document in one engine, opened anew from its log whenever the engine drops it, as a node does.

    Attributes:
        log: the news of what was taken.
        panics: updates that the library panicked on.
    """

    library: Callable[[], Library]
    log: list[bytes] = field(default_factory=list)
    reach: Reach = field(default_factory=Reach)
    panics: int = 0

    def __post_init__(self) -> None:
        self._engine = Engine(self.library(), count(1).__next__)
        self._number = 0
        self.open()

    def open(self) -> None:
        """Anew, from its log."""
        self._ask(Close)
        self._number += 1
        opened = self._engine.handle(Open(self._number, b"", self.log))
        assert isinstance(opened, Opened), (opened, [row.hex() for row in self.log])
        anew = Reach.decode(opened.reach)
        # It may have deleted more: what a hostile program put between what does not belong together.
        assert anew.state_vector() == self.reach.state_vector(), "opened anew, it has lost something"
        self.reach = anew

    def apply(self, update: bytes) -> Merged | Refused | None:
        """What became of the update; None if the library panicked."""
        reply = self._ask(Apply, update)
        if isinstance(reply, Merged):
            if reply.news:
                self.log.append(reply.news)
                self.reach.absorb(reply.content())
            return reply
        if isinstance(self._ask(Diff, EMPTY_STATE_VECTOR), NotOpen):
            self.open()
        if isinstance(reply, Refused):
            return reply
        self.panics += 1
        return None

    def whole(self) -> bytes:
        """All of it as one update."""
        encoded = self._ask(Diff, EMPTY_STATE_VECTOR)
        assert isinstance(encoded, Encoded), encoded
        return encoded.encoded

    def read(self) -> Reply:
        return self._ask(Read)

    def _ask(self, request: Any, *arguments: Any) -> Reply:
        return self._engine.handle(request(self._number, *arguments))


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


def exchange(yjs: YjsClients, copies: Mapping[str, Fed], raw: Sequence[bytes]) -> tuple[list[str], Loaded]:
    """What is not the same once everybody has told everybody what they have, a program of stock Yjs among them.

    A copy that learns of others' deletions may itself delete more (what has lost its place under a key): so several
    rounds, as in a mesh.
    """
    found: list[str] = []
    seen = list(raw)
    for _ in range(ROUNDS):
        for name, fed in copies.items():
            seen.append(fed.whole())
            for other, receiver in copies.items():
                if other != name and not isinstance(reply := receiver.apply(fed.whole()), Merged):
                    return [f"{other} does not take what {name} has: {_shown(reply)}"], Loaded("", b"", {}, "")
        (stock,) = yjs.load(seen)
        if stock.error:
            return [f"Yjs: {stock.error}"], stock
        for name, fed in copies.items():
            if not isinstance(reply := fed.apply(stock.update), Merged):
                return [f"{name} does not take what Yjs has: {_shown(reply)}"], stock
    (fresh,) = yjs.load([stock.update])
    for name, fed in copies.items():
        if fed.reach.digest() != digest(stock.update):
            found.append(f"state: {name} and Yjs")
        (joined,) = yjs.load([fed.whole()])
        if joined.error or joined.places != stock.places or joined.values != stock.values:
            found.append(f"a client of {name}: {joined.error or 'another document'}")
        if places(fed.whole()) != dict(stock.places):
            found.append(f"places: {name} and Yjs")
        before = fed.read()
        fed.open()
        if fed.read() != before:
            found.append(f"{name} opened anew reads differently")
    if fresh.places != stock.places or fresh.values != stock.values:
        found.append("Yjs disagrees with itself")
    first, *others = (fed.read() for fed in copies.values())
    if any(other != first for other in others):
        found.append("json")
    return found, stock


def _shown(reply: object) -> str:
    return f"{type(reply).__name__} {getattr(reply, 'message', '')}"
