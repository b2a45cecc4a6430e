"""lib0, the encoding below Yjs updates: bounded reading of untrusted bytes, and the little writing that we do. Sans-IO.

A read takes the bytes and a position, and returns what it read and the position behind it. Plain functions, because a
reader object costs three times as much and a node walks every update that passes. Reading past the end raises
`IndexError`, which the callers at the edge (`update.check`, `decode_state_vector`, `Reach.decode`) turn into theirs.
"""

import msgspec

from peatd.errors import MalformedUpdate

MAX_DEPTH = 64
"""Of nested values. Our choice: 52 KB of nested arrays overflow an engine's stack, and no real document comes near."""

_MAX_SAFE_INTEGER = 2**53 - 1
"""lib0 refuses to read an integer beyond it (`Number.MAX_SAFE_INTEGER`); larger ones travel as BigInt."""


def read_uint(data: bytes, position: int) -> tuple[int, int]:
    """A varUint of at most five bytes, hence below 2^35: the caller knows the bound of its field.

    Unrolled: client ids are five bytes long, and every struct names one or two.
    """
    value = data[position]
    if value < 0x80:
        return value, position + 1
    byte = data[position + 1]
    value += (byte << 7) - 0x80
    if byte < 0x80:
        return value, position + 2
    byte = data[position + 2]
    value += (byte << 14) - 0x4000
    if byte < 0x80:
        return value, position + 3
    byte = data[position + 3]
    value += (byte << 21) - 0x20_0000
    if byte < 0x80:
        return value, position + 4
    byte = data[position + 4]
    if byte < 0x80:
        return value + (byte << 28) - 0x1000_0000, position + 5
    raise MalformedUpdate("a number in the update is longer than five bytes")


def read_count(data: bytes, position: int) -> tuple[int, int]:
    """How many things follow. Each takes at least a byte, so more than the bytes left is a lie."""
    count, position = read_uint(data, position)
    if count > len(data) - position:
        raise MalformedUpdate("the update announces more than it holds")
    return count, position


def read_bytes(data: bytes, position: int) -> tuple[bytes, int]:
    size, position = read_count(data, position)
    end = position + size
    return data[position:end], end


def read_string(data: bytes, position: int) -> tuple[str, int]:
    size, position = read_count(data, position)
    end = position + size
    try:
        return data[position:end].decode(), end
    except UnicodeDecodeError as exc:
        raise MalformedUpdate("a string in the update is not UTF-8") from exc


def read_json(data: bytes, position: int) -> int:
    """Steps over JSON in a string: engines and clients parse it, so it has to be JSON."""
    text, position = read_bytes(data, position)
    if text not in _COMMON_JSON:
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise MalformedUpdate("a value in the update is not JSON") from exc
        _check_depth(value, MAX_DEPTH)
    return position


_COMMON_JSON = frozenset({b"null", b"true", b"false", b"{}"})
"""Values of nearly all formats: not worth a parser."""


def _check_depth(value: object, depth: int) -> None:
    if depth < 0:
        raise MalformedUpdate(f"a value in the update is nested deeper than {MAX_DEPTH}")
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        _check_depth(child, depth - 1)


def skip_any(data: bytes, position: int, depth: int = MAX_DEPTH) -> int:
    """Steps over one lib0 Any value."""
    if depth < 0:
        raise MalformedUpdate(f"a value in the update is nested deeper than {MAX_DEPTH}")
    tag = data[position]
    position += 1
    match tag:
        case 119:
            return read_string(data, position)[1]
        case 125:
            return _skip_integer(data, position)
        case 127 | 126 | 121 | 120:  # undefined, null, false, true
            return position
        case 123 | 122:  # float64, BigInt
            return _skip_bytes(data, position, 8)
        case 124:  # float32
            return _skip_bytes(data, position, 4)
        case 118:
            count, position = read_count(data, position)
            for _ in range(count):
                position = skip_any(data, read_string(data, position)[1], depth - 1)
            return position
        case 117:
            count, position = read_count(data, position)
            for _ in range(count):
                position = skip_any(data, position, depth - 1)
            return position
        case 116:
            return read_bytes(data, position)[1]
    raise MalformedUpdate(f"a value in the update has the unknown type {tag}")


def _skip_bytes(data: bytes, position: int, size: int) -> int:
    if size > len(data) - position:
        raise MalformedUpdate("the update ends inside a number")
    return position + size


def _skip_integer(data: bytes, position: int) -> int:
    """A varInt: sign and six bits, then seven bits a byte."""
    byte = data[position]
    value = byte & 0x3F
    shift = 6
    while byte >= 0x80:
        position += 1
        byte = data[position]
        value |= (byte & 0x7F) << shift
        shift += 7
        if shift > 62:
            raise MalformedUpdate("an integer in the update is longer than nine bytes")
    if value > _MAX_SAFE_INTEGER:
        raise MalformedUpdate("an integer in the update is beyond 2^53")
    return position + 1


def write_uint(into: bytearray, value: int) -> None:
    while value >= 0x80:
        into.append(value & 0x7F | 0x80)
        value >>= 7
    into.append(value)


def write_string(into: bytearray, text: str) -> None:
    encoded = text.encode()
    write_uint(into, len(encoded))
    into += encoded
