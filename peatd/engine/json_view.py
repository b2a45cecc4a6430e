"""A document as JSON. Sans-IO.

The root map `data` is the document's JSON. Whatever a Yjs program writes reads as JSON: shared maps and plain objects
as objects, shared arrays as lists, shared texts and XML as strings (`toJSON` of Yjs), bytes as base64, BigInts as
numbers, subdocuments as `{}`; `undefined`, NaN and infinities as null. A Date is no value of Yjs: it comes as `{}`.
"""

import base64
import math
from typing import Any

from peatd.engine.items import ARRAY, MAP, TEXT, XML_ELEMENT, XML_HOOK, XML_TEXT, Branch
from peatd.engine.markup import MAX_SHARED_DEPTH, markup, plain_text
from peatd.engine.values import SUBDOCUMENT
from peatd.errors import InvalidEdit
from peatd.structs import EMBED, STRING

MAX_INTEGER = 2**53 - 1
"""JavaScript's largest safe integer. A Yjs program cannot read a larger JSON number."""

_XML_CHILDREN = (XML_ELEMENT, XML_HOOK, XML_TEXT)
"""Of an XML fragment; nothing but an array can hold a fragment."""


def view(value: Any, depth: int = 0) -> Any:
    """The JSON of any value in a document, or of a shared type.

    Raises:
        InvalidEdit: if it is nested so deep that only a hostile program can have made it.
    """
    if depth > MAX_SHARED_DEPTH:
        raise InvalidEdit(f"the document is nested deeper than {MAX_SHARED_DEPTH}")
    match value:
        case None | bool() | str() | int():
            return value
        case float():
            return number(value)
        case dict():
            return {key: view(child, depth + 1) for key, child in value.items()}
        case list():
            return [view(child, depth + 1) for child in value]
        case bytes():
            return base64.b64encode(value).decode()
        case Branch():
            return _shared(value, depth)
        case _ if value is SUBDOCUMENT:
            return {}
    return None


def _shared(branch: Branch, depth: int) -> Any:
    match branch.kind:
        case int() as kind if kind in (MAP, XML_HOOK):
            return map_view(branch, depth)
        case int() as kind if kind == ARRAY:
            return array_view(branch, depth)
        case int() as kind if kind == TEXT:
            return plain_text(branch)
    return markup(branch, depth)


def map_view(branch: Branch, depth: int = 0) -> dict[str, Any]:
    """The JSON of a shared type that is known to be a map."""
    found = ((key, branch.value_of(key)) for key in branch.entries)
    return {key: view(item.value, depth + 1) for key, item in found if item is not None}


def array_view(branch: Branch, depth: int = 0) -> list[Any]:
    """The JSON of a shared type that is known to be an array."""
    return [view(value, depth + 1) for item in branch.sequence() for value in item.values]


def number(value: float) -> float | int | None:
    """A number as JSON has it: 1 for 1.0. Up to 64 bits, as pycrdt makes numbers of BigInts."""
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < 2**63 else value


def is_map(root: Branch) -> bool:
    """Whether a root has, or ever had, keys. Yjs programs do not say what a root is: its content does."""
    return bool(root.entries)


def root_view(root: Branch) -> Any:
    """The JSON of a root, as what its content makes it: a map, a text, XML, else an array; None if there is nothing.

    Of what two copies have in common only: a text that was emptied has left nothing that tells it from an array.
    """
    if is_map(root):
        return map_view(root)
    items = list(root.sequence())
    values = [value for item in items for value in item.values]
    if not values:
        return None
    if any(item.ref in (STRING, EMBED) for item in items):
        return plain_text(root)
    if all(isinstance(value, Branch) and value.kind in _XML_CHILDREN for value in values):
        return markup(root)
    return array_view(root)
