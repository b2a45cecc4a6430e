"""Those who use the nodes: each asks one thing, and notes what it is told."""

import random
from collections.abc import Callable

import y_py
from sim.history import Asked, History
from sim.node import Life, Machine
from sim.plan import Delete, Write

from peatd.errors import AckTimeout, NoSuchDocument, PeatError
from peatd.library import APPLIED, DURABLE, Ack, Written, replicated
from peatd.names import DocumentName

_PATIENCE = 20.0
"""Seconds that a client waits for the rung it asked for."""


class Clients:
    """All of them.

    Attributes:
        waiting: those who wait for an answer.

    Args:
        strike: is called at the moment at which the client hears what it waited for, if the step says so.
    """

    def __init__(
        self,
        machines: dict[str, Machine],
        history: History,
        chance: random.Random,
        strike: Callable[[Asked], object],
    ) -> None:
        self._machines, self._history, self._chance, self._strike = machines, history, chance, strike
        self._words = 0
        self.waiting = 0
        self.errors: dict[str, int] = {}

    def ask(self, step: Write | Delete) -> None:
        """Begins it, if the node is there. It ends with the node at the latest."""
        life = self._machines[step.node].life
        if life is not None and life.is_serving:
            life.clients.start_soon(self._ask, life, step)

    async def _ask(self, life: Life, step: Write | Delete) -> None:
        with life.acting():
            asked = self._asked(life, step)
            self._history.asked.append(asked)
            self.waiting += 1
            try:
                made = await (self._write(life, step, asked) if isinstance(step, Write) else self._delete(life, asked))
                asked.incarnation = made.incarnation
                asked.reached(APPLIED)
                await self._climb(life, asked, made, step.peers)
                if step.strikes:
                    self._strike(asked)
            except NoSuchDocument:
                self._history.asked.remove(asked)
            except PeatError as error:
                name = type(error).__name__
                self.errors[name] = self.errors.get(name, 0) + 1
            finally:
                self.waiting -= 1

    async def _climb(self, life: Life, asked: Asked, made: Written, peers: int) -> None:
        rung = APPLIED if peers < 0 else replicated(peers) if peers else DURABLE
        try:
            asked.reached(await life.library.acknowledged(made, rung, _PATIENCE))
        except AckTimeout as error:
            asked.reached(_parsed(error.reached))

    def _asked(self, life: Life, step: Write | Delete) -> Asked:
        word = value = None
        if isinstance(step, Write):
            self._words += 1
            word = f"w{self._words}"
            value = "x" * step.size_chars
        lost = {name: machine.lost_disks for name, machine in self._machines.items()}
        typed = isinstance(step, Write) and step.typed
        return Asked(step.node, DocumentName(step.document), word, value, typed, life.number, lost)

    async def _write(self, life: Life, step: Write, asked: Asked) -> Written:
        assert asked.word is not None
        if not step.typed:
            return await life.library.patch(asked.document, {asked.word: asked.value}, if_match=None)
        try:
            known = await life.library.diff(asked.document, b"\x00")
        except NoSuchDocument:
            known = b"\x00\x00"
        return await life.library.apply(asked.document, self._typed(known, asked.word))

    def _typed(self, known: bytes, word: str) -> bytes:
        """What a Yjs client that has this much sends when somebody types a word."""
        document = y_py.YDoc(self._chance.getrandbits(32), skip_gc=True)
        y_py.apply_update(document, known)
        before = y_py.encode_state_vector(document)
        text = document.get_text("text")
        with document.begin_transaction() as transaction:
            text.insert(transaction, self._chance.choice((0, len(text))), f" {word} ")
        return bytes(y_py.encode_state_as_update(document, before))

    async def _delete(self, life: Life, asked: Asked) -> Written:
        return await life.library.delete(asked.document, if_match=None)


def _parsed(rung: str) -> Ack:
    name, _, peers = rung.partition(":")
    return replicated(int(peers)) if peers else DURABLE if name == "durable" else APPLIED
