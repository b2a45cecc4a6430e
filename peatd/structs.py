"""The structs of a Yjs v1 update: what their first byte says, and how to step over what they hold. Sans-IO.

The format is that of Yjs `src/utils/encoding.js` and `src/structs/*.js`.
"""

from collections.abc import Callable

from peatd.errors import MalformedUpdate
from peatd.lib0 import read_bytes, read_count, read_json, read_string, read_uint, skip_any

ORIGIN, RIGHT_ORIGIN, KEYED, CONTENT = 0x80, 0x40, 0x20, 0x1F
"""The bits of a struct's first byte. A key is written only where neither origin is."""

GC, DELETED, DOC = 0, 1, 9
"""Contents that are treated apart."""


def kind_of_root(info: int, data: bytes, position: int) -> str:
    """What the root of a struct is, as far as this one's content (at `position`) tells."""
    if info & KEYED:
        return "map"
    match info & CONTENT:
        case 1:
            return "unknown"
        case 4 | 5 | 6:
            return "text"
        case 7 if data[position] in _XML_TYPES:
            return "xml"
    return "array"


_XML_TYPES = (3, 5, 6)
"""XmlElement, XmlHook, XmlText. A fragment holds these; nothing but an array can hold an XmlFragment (4)."""


def _json(data: bytes, position: int) -> tuple[int, int]:
    count, position = read_count(data, position)
    for _ in range(count):
        position = _json_or_undefined(data, position)
    return count, position


def _json_or_undefined(data: bytes, position: int) -> int:
    return position + 10 if data[position : position + 10] == b"\x09undefined" else read_json(data, position)


def _binary(data: bytes, position: int) -> tuple[int, int]:
    return 1, read_bytes(data, position)[1]


def _string(data: bytes, position: int) -> tuple[int, int]:
    text, position = read_string(data, position)
    # Yjs counts UTF-16 code units, as JavaScript does.
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2, position


def _embed(data: bytes, position: int) -> tuple[int, int]:
    return 1, read_json(data, position)


def _format(data: bytes, position: int) -> tuple[int, int]:
    return 1, read_json(data, read_string(data, position)[1])


def _type(data: bytes, position: int) -> tuple[int, int]:
    kind = data[position]
    if kind > 6:
        raise MalformedUpdate(f"the update holds the unknown type {kind}")
    has_name = kind in (3, 5)  # XmlElement, XmlHook
    return 1, read_string(data, position + 1)[1] if has_name else position + 1


def _any(data: bytes, position: int) -> tuple[int, int]:
    count, position = read_count(data, position)
    for _ in range(count):
        position = skip_any(data, position)
    return count, position


def _doc(data: bytes, position: int) -> tuple[int, int]:
    return 1, skip_any(data, read_string(data, position)[1])


CONTENTS: tuple[Callable[[bytes, int], tuple[int, int]], ...] = (
    read_uint,  # GC: its length
    read_uint,  # Deleted: its length
    _json,
    _binary,
    _string,
    _embed,
    _format,
    _type,
    _any,
    _doc,
)
