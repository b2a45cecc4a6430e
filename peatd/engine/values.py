"""Values of a document, from lib0's encoding and into it: `readAny` and `writeAny` of lib0. Sans-IO.

What is read was checked before (`update.examine`). `undefined` and subdocuments have no JSON and stand as markers.
"""

import struct
from typing import Any, Final

import msgspec

from peatd.lib0 import read_bytes, read_string, read_uint, write_string, write_uint


class _Marker:
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


UNDEFINED: Final = _Marker("undefined")
SUBDOCUMENT: Final = _Marker("subdocument")

_INTEGER_BITS = 31
_FLOAT32, _FLOAT64, _BIGINT = struct.Struct(">f"), struct.Struct(">d"), struct.Struct(">q")


def read_any(data: bytes, position: int) -> tuple[Any, int]:
    """One lib0 Any value, and the position behind it."""
    tag = data[position]
    position += 1
    match tag:
        case 119:
            return read_string(data, position)
        case 125:
            return _read_integer(data, position)
        case 118:
            return _read_object(data, position)
        case 117:
            return _read_array(data, position)
        case 124:
            return _FLOAT32.unpack_from(data, position)[0], position + 4
        case 123:
            return _FLOAT64.unpack_from(data, position)[0], position + 8
        case 122:
            return _BIGINT.unpack_from(data, position)[0], position + 8
        case 116:
            return read_bytes(data, position)
    return _CONSTANTS[tag], position


_CONSTANTS: dict[int, Any] = {127: UNDEFINED, 126: None, 121: False, 120: True}


def _read_object(data: bytes, position: int) -> tuple[dict[str, Any], int]:
    count, position = read_uint(data, position)
    found: dict[str, Any] = {}
    for _ in range(count):
        key, position = read_string(data, position)
        found[key], position = read_any(data, position)
    return found, position


def _read_array(data: bytes, position: int) -> tuple[list[Any], int]:
    count, position = read_uint(data, position)
    found: list[Any] = []
    for _ in range(count):
        value, position = read_any(data, position)
        found.append(value)
    return found, position


def _read_integer(data: bytes, position: int) -> tuple[int, int]:
    byte = data[position]
    value, shift, is_negative = byte & 0x3F, 6, bool(byte & 0x40)
    while byte >= 0x80:
        position += 1
        byte = data[position]
        value |= (byte & 0x7F) << shift
        shift += 7
    return -value if is_negative else value, position + 1


def read_json_value(data: bytes, position: int) -> tuple[Any, int]:
    """JSON in a string, as embeds and formats have it, and the position behind it."""
    text, position = read_bytes(data, position)
    return UNDEFINED if text == b"undefined" else msgspec.json.decode(text), position


def write_any(into: bytearray, value: Any) -> None:
    """One JSON value."""
    match value:
        case None:
            into.append(126)
        case bool():
            into.append(120 if value else 121)
        case str():
            into.append(119)
            write_string(into, value)
        case int() if abs(value) < 1 << _INTEGER_BITS:
            into.append(125)
            _write_integer(into, value)
        case float() if value.is_integer() and abs(value) < 1 << _INTEGER_BITS:
            into.append(125)
            _write_integer(into, int(value))
        case int() | float():
            _write_float(into, float(value))
        case dict():
            into.append(118)
            write_uint(into, len(value))
            for key, child in value.items():
                write_string(into, key)
                write_any(into, child)
        case _:
            into.append(117)
            write_uint(into, len(value))
            for child in value:
                write_any(into, child)


def _write_integer(into: bytearray, value: int) -> None:
    rest = abs(value)
    into.append((0x80 if rest > 0x3F else 0) | (0x40 if value < 0 else 0) | rest & 0x3F)
    rest >>= 6
    while rest:
        into.append((0x80 if rest > 0x7F else 0) | rest & 0x7F)
        rest >>= 7


def _write_float(into: bytearray, value: float) -> None:
    if abs(value) <= 3.4e38 and _FLOAT32.unpack(_FLOAT32.pack(value))[0] == value:
        into.append(124)
        into += _FLOAT32.pack(value)
    else:
        into.append(123)
        into += _FLOAT64.pack(value)
