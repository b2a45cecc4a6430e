"""The CRDT library y-py 0.6.2 behind the seam of `library.py`; nothing else imports it.

Its peculiarities, each met here: panics are a BaseException; garbage collection destroys documents; whoever takes a
handle of a shared type keeps its document in memory for good.
"""

from typing import Any

import y_py as _y_py

y_py: Any = _y_py  # its stubs are wrong in half of what is used here

EMPTY = b"\x00\x00"


def _encoding_exception() -> type[Exception]:
    """The class of what an undecodable update raises. The module does not export it; panics are none."""
    try:
        y_py.apply_update(y_py.YDoc(1), b"\x01")
    except Exception as exc:
        return type(exc)
    raise RuntimeError("this y-py takes half an update")


_EncodingException = _encoding_exception()


_NOBODY = 1
"""The client id of every copy: none is ever edited, and the library's own choice may be anybody's."""


class YPy:
    """y-py."""

    holds_subdocuments = False  # a valid one panics it
    holds_hooks = True

    def new_copy(self) -> "YPyCopy":
        return YPyCopy()


class YPyCopy:
    """One document."""

    def __init__(self) -> None:
        # Its garbage collection gets the lengths of nested types wrong and destroys the document: see `rewrite.py`.
        self._doc = y_py.YDoc(_NOBODY, skip_gc=True)
        self._news = _News()
        self._subscription = self._doc.observe_after_transaction(self._news.after_transaction)

    def apply(self, update: bytes) -> bytes:
        self._news.update = EMPTY
        try:
            y_py.apply_update(self._doc, update)
        except _EncodingException as exc:
            raise ValueError(str(exc)) from exc
        return self._news.update

    def diff(self, state_vector: bytes) -> bytes:
        return bytes(y_py.encode_state_as_update(self._doc, state_vector))


class _News:
    """What the last transaction brought. The library keeps what observes a document, and Python does not see that: were
    it the copy itself, neither would ever be freed."""

    def __init__(self) -> None:
        self.update = EMPTY

    def after_transaction(self, event: Any) -> None:
        self.update = bytes(event.get_update())
