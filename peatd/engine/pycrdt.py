"""The CRDT library pycrdt 0.14.13 behind the seam of `library.py`; nothing else imports it."""

from typing import Any

import pycrdt as _pycrdt

pycrdt: Any = _pycrdt  # its types say less than what is true

EMPTY = b"\x00\x00"

_NOBODY = 1
"""The client id of every copy: none is ever edited, and the library's own choice would need 53 bits."""

_OUT_OF_MEMORY = "failed to allocate memory"
"""What it says of an update that it cannot decode for want of memory: nothing is wrong with that."""


class Pycrdt:
    """pycrdt."""

    holds_subdocuments = True
    holds_hooks = False  # their name is neither read nor written: what follows would be read wrongly

    def new_copy(self) -> "PycrdtCopy":
        return PycrdtCopy()


class PycrdtCopy:
    """One document."""

    def __init__(self) -> None:
        self._doc: Any = pycrdt.Doc(client_id=_NOBODY)
        self._news = _News()
        self._subscription = self._doc.observe(self._news.after_transaction)

    def __del__(self) -> None:
        self._doc.unobserve(self._subscription)  # whose callback holds the document: it would never be freed

    def apply(self, update: bytes) -> bytes:
        self._news.update = EMPTY
        try:
            self._doc.apply_update(update)
        except ValueError as exc:
            if _OUT_OF_MEMORY in str(exc):
                raise MemoryError from exc
            raise
        return self._news.update

    def diff(self, state_vector: bytes) -> bytes:
        encoded: bytes = self._doc.get_update(state_vector)
        return encoded


class _News:
    """What the last transaction brought. Not the copy itself: the library keeps whatever observes a document."""

    def __init__(self) -> None:
        self.update = EMPTY

    def after_transaction(self, event: Any) -> None:
        self.update = event.update
