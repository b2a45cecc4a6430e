"""The CRDT library pycrdt 0.14.13 behind the seam of `library.py`; nothing else imports it."""

from collections.abc import Sequence
from typing import Any

import pycrdt as _pycrdt

from peatd.engine.json_view import ABSENT, Change, markup

pycrdt: Any = _pycrdt  # its types say less than what is true

EMPTY = b"\x00\x00"

_ROOT_TYPES: dict[str, Any] = {
    "map": pycrdt.Map,
    "array": pycrdt.Array,
    "text": pycrdt.Text,
    "xml": pycrdt.XmlFragment,
}


class Pycrdt:
    """pycrdt."""

    holds_subdocuments = True

    def new_copy(self, client: int) -> "PycrdtCopy":
        return PycrdtCopy(client)

    def is_map(self, value: object) -> bool:
        return isinstance(value, pycrdt.Map)

    def look_inside(self, value: object) -> object:
        match value:
            case pycrdt.Map():
                return {key: value[key] for key in value}
            case pycrdt.Array():
                return list(value)
            case pycrdt.XmlFragment() | pycrdt.XmlElement():
                return _xml(value)
            case pycrdt.Text() | pycrdt.XmlText():
                return str(value)
            case pycrdt.Doc():
                return {}  # as Yjs has it: a subdocument is a document of its own
        return value


class PycrdtCopy:
    """One document."""

    def __init__(self, client: int) -> None:
        self._doc: Any = pycrdt.Doc(client_id=client)
        self._news = _News()
        self._subscription = self._doc.observe(self._news.after_transaction)

    def __del__(self) -> None:
        self._doc.unobserve(self._subscription)  # whose callback holds the document: it would never be freed

    def apply(self, update: bytes) -> bytes:
        self._news.update = EMPTY
        self._doc.apply_update(update)
        return self._news.update

    def diff(self, state_vector: bytes) -> bytes:
        encoded: bytes = self._doc.get_update(state_vector)
        return encoded

    def root(self, name: str, kind: str) -> object:
        root: object = self._doc.get(name, type=_ROOT_TYPES[kind])
        return root

    def change(self, root: str, changes: Sequence[Change]) -> bytes:
        self._news.update = EMPTY
        top: Any = self.root(root, "map")
        with self._doc.transaction():
            for change in changes:
                shared = top
                for key in change.path[:-1]:
                    shared = shared[key]
                if change.value is ABSENT:
                    del shared[change.path[-1]]
                else:
                    shared[change.path[-1]] = _shared(change.value)
        return self._news.update


class _News:
    """What the last transaction brought. Not the copy itself: the library keeps whatever observes a document."""

    def __init__(self) -> None:
        self.update = EMPTY

    def after_transaction(self, event: Any) -> None:
        self.update = event.update


def _shared(value: Any) -> Any:
    return pycrdt.Map({key: _shared(child) for key, child in value.items()}) if isinstance(value, dict) else value


def _xml(value: Any) -> str:
    """As Yjs prints it; pycrdt's own markup has the attributes in any order."""
    if isinstance(value, pycrdt.XmlText):
        return str(value)
    inside = [_xml(child) for child in value.children]
    return markup(value.tag, value.attributes, inside) if isinstance(value, pycrdt.XmlElement) else "".join(inside)
