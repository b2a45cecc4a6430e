"""An engine process whose CRDT library dies, hangs or panics when a document holds certain words. Started by tests.

Otherwise it is the real one: `python fragile_engine.py` takes the arguments of `python -m peatd.engine`.
"""

import os
import sys
from collections.abc import Callable

from peatd.engine import __main__ as process
from peatd.engine import document
from peatd.engine.protocol import Done, frame
from peatd.engine.tree import Tree
from peatd.engine.y_py import YPy, YPyCopy
from peatd.update import Examined

PANIC, ABORT, LOOP, POISON, UNREADABLE = b"panic!", b"abort!", b"loop!", b"poison!", b"unreadable!"
GARBLE, BOAST, REPEAT = b"garble!", b"boast!", b"repeat!"


class Panic(BaseException):
    """As of a library written in Rust."""


def loop() -> None:
    while True:
        pass


def panic() -> None:
    raise Panic("Length exceeded")


def says(nonsense: bytes) -> Callable[[], None]:
    """As of a library that has overwritten what is not its own."""

    def say() -> None:
        os.write(sys.stdout.fileno(), nonsense)

    return say


WHAT_APPLYING_DOES: dict[bytes, Callable[[], None]] = {
    PANIC: panic,
    ABORT: os.abort,
    LOOP: loop,
    GARBLE: says(b"\0\0\0\2\x91\xff"),
    BOAST: says(b"\xff\xff\xff\xff"),
    REPEAT: says(frame(Done())),
}


class FragileCopy(YPyCopy):
    def apply(self, update: bytes) -> bytes:
        for word, happens in WHAT_APPLYING_DOES.items():
            if word in update:
                happens()
        return super().apply(update)

    def diff(self, state_vector: bytes) -> bytes:
        encoded = super().diff(state_vector)
        if POISON in encoded:
            panic()
        return encoded


class FragileTree(Tree):
    def integrate(self, update: bytes, examined: Examined) -> None:
        if UNREADABLE in update:
            loop()
        super().integrate(update, examined)


class FragileLibrary(YPy):
    def new_copy(self) -> FragileCopy:
        return FragileCopy()


if __name__ == "__main__":
    document.Tree = FragileTree  # type: ignore[misc]  # what reads and edits of JSON stand on
    process._library = lambda _name: FragileLibrary()
    sys.exit(process.main())
