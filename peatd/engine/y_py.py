"""The CRDT library y-py 0.6.2 behind the seam of `library.py`; nothing else imports it.

Its peculiarities, each met here: panics are a BaseException; every transaction calls the observer, a read with the
empty update; garbage collection destroys documents; iterating a map whose handle was dropped crashes; plain values come
as float, list and dict.
"""

from collections.abc import Sequence
from typing import Any

import y_py as _y_py

from peatd.engine.json_view import ABSENT, Change, markup

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


class YPy:
    """y-py."""

    holds_subdocuments = False  # a valid one panics it

    def new_copy(self, client: int) -> "YPyCopy":
        return YPyCopy(client)

    def is_map(self, value: object) -> bool:
        return isinstance(value, y_py.YMap)

    def look_inside(self, value: object) -> object:
        match value:
            case y_py.YMap():
                return {key: value[key] for key in value}
            case y_py.YArray():
                return list(value)
            case y_py.YText() | y_py.YXmlText():
                return str(value)
            case y_py.YXmlElement():
                return _xml(value)
        return value


class YPyCopy:
    """One document."""

    def __init__(self, client: int) -> None:
        # Its garbage collection gets the lengths of nested types wrong and destroys the document: see `rewrite.py`.
        self._doc = y_py.YDoc(client, skip_gc=True)
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

    def root(self, name: str, kind: str) -> object:
        match kind:
            case "map":
                return self._doc.get_map(name)
            case "array":
                return self._doc.get_array(name)
            case "text":
                return self._doc.get_text(name)
            case "xml":
                return self._doc.get_xml_element(name)
        raise RuntimeError(f"no root is a {kind}")

    def change(self, root: str, changes: Sequence[Change]) -> bytes:
        self._news.update = EMPTY
        top = self._doc.get_map(root)
        with self._doc.begin_transaction() as transaction:
            for change in changes:
                shared = top
                for key in change.path[:-1]:
                    shared = shared[key]
                if change.value is ABSENT:
                    shared.pop(transaction, change.path[-1])
                else:
                    shared.set(transaction, change.path[-1], _shared(change.value))
        return self._news.update


class _News:
    """What the last transaction brought. The library keeps what observes a document, and Python does not see that: were
    it the copy itself, neither would ever be freed."""

    def __init__(self) -> None:
        self.update = EMPTY

    def after_transaction(self, event: Any) -> None:
        self.update = bytes(event.get_update())


def _shared(value: Any) -> Any:
    return y_py.YMap({key: _shared(child) for key, child in value.items()}) if isinstance(value, dict) else value


def _xml(top: Any) -> str:
    """As Yjs prints it: y-py's own markup puts the attributes' names in quotes."""
    # Asked for the name of a fragment, which has none, it panics; but it prints one.
    is_fragment = str(top).startswith(("<UNDEFINED>", "<UNDEFINED "))
    return _inside(top) if is_fragment else _element(top)


def _element(element: Any) -> str:
    return markup(element.name, element.attributes(), [_inside(element)])


def _inside(parent: Any) -> str:
    parts = []
    child = parent.first_child
    while child is not None:
        parts.append(_element(child) if isinstance(child, y_py.YXmlElement) else str(child))
        child = child.next_sibling
    return "".join(parts)
