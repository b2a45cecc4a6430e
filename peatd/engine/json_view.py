"""A document as JSON, and JSON as edits of a document. Sans-IO, and the same for every CRDT library.

The root map `data` is the document's JSON. Its nested objects are nested Y.Maps, so that two nodes can change different
fields of one object at once and both changes survive; arrays and scalars are plain values that are replaced whole. What
other Yjs programs write reads as JSON too: shared arrays as lists, shared texts and XML as strings, bytes as base64,
`undefined`, NaN and infinities as null (as JavaScript's JSON has it).

Edits touch only what differs, and what differs is decided on the JSON: writing back what was read changes nothing.
"""

import base64
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from peatd.errors import InvalidEdit
from peatd.lib0 import MAX_DEPTH

MAX_INTEGER = 2**53 - 1
"""JavaScript's largest safe integer. A Yjs program cannot read a larger JSON number, and the two CRDT libraries encode
it differently."""

ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Change:
    """Sets the key at the end of `path` to a JSON value, or removes it (`ABSENT`). All before it are shared maps."""

    path: tuple[str, ...]
    value: Any


@dataclass(frozen=True, slots=True)
class Shared:
    """How to look at a library's types: see `library.Library`."""

    is_map: Callable[[object], bool]
    look_inside: Callable[[object], object]


def view(value: object, shared: Shared, depth: int = 0) -> Any:
    """The JSON of any value in a document.

    Raises:
        InvalidEdit: if it is nested so deep that only a hostile program can have made it.
    """
    if depth > 4 * MAX_DEPTH:
        raise InvalidEdit(f"the document is nested deeper than {4 * MAX_DEPTH}")
    value = shared.look_inside(value)
    match value:
        case None | bool() | str() | int():
            return value
        case float():
            return _number(value)
        case Mapping():
            return {str(key): view(child, shared, depth + 1) for key, child in value.items()}
        case list() | tuple():
            return [view(child, shared, depth + 1) for child in value]
        case bytes() | bytearray():
            return base64.b64encode(value).decode()
    return None


def _number(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) <= MAX_INTEGER else value


def markup(tag: str, attributes: Iterable[tuple[str, str]], inside: Iterable[str]) -> str:
    """An XML element as Yjs prints it (`YXmlElement.toString`): attributes by name, nothing escaped."""
    named = "".join(f' {name}="{value}"' for name, value in sorted(attributes))
    return f"<{tag}{named}>{''.join(inside)}</{tag}>"


def plan_put(current: object, target: Mapping[str, Any], shared: Shared) -> list[Change]:
    """The changes that make a shared map equal to a JSON object.

    Raises:
        InvalidEdit: if a document cannot hold the JSON.
    """
    _check(target)
    return list(_put(current, target, shared, ()))


def _put(current: object, target: Mapping[str, Any], shared: Shared, path: tuple[str, ...]) -> Iterator[Change]:
    children = _children(current, shared)
    for key in children:
        if key not in target:
            yield Change((*path, key), ABSENT)
    for key, value in target.items():
        child = children.get(key, ABSENT)
        if isinstance(value, dict) and shared.is_map(child):
            yield from _put(child, value, shared, (*path, key))
        elif child is ABSENT or not is_same_json(view(child, shared), value):
            _check_numbers(value)
            yield Change((*path, key), value)


def plan_patch(current: object, patch: Mapping[str, Any], shared: Shared) -> list[Change]:
    """The changes that an RFC 7396 merge patch makes to a shared map.

    Raises:
        InvalidEdit: if a document cannot hold the JSON.
    """
    _check(patch)
    return list(_patch(current, patch, shared, ()))


def _patch(current: object, patch: Mapping[str, Any], shared: Shared, path: tuple[str, ...]) -> Iterator[Change]:
    children = _children(current, shared)
    for key, value in patch.items():
        child = children.get(key, ABSENT)
        if value is None:
            if child is not ABSENT:
                yield Change((*path, key), ABSENT)
        elif isinstance(value, dict) and shared.is_map(child):
            yield from _patch(child, value, shared, (*path, key))
        else:
            before = ABSENT if child is ABSENT else view(child, shared)
            after = merge_patch(before, value)
            if before is ABSENT or not is_same_json(before, after):
                _check_numbers(after)
                yield Change((*path, key), after)


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def _children(current: object, shared: Shared) -> Mapping[str, object]:
    children = shared.look_inside(current)
    assert isinstance(children, Mapping)
    return children


def is_same_json(one: Any, other: Any) -> bool:
    """Equality of JSON: 1 and 1.0 are the same number, but true is not 1 (which Python says it is)."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same_json(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same_json, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def _check(value: object, depth: int = MAX_DEPTH) -> None:
    """Refuses what is not JSON, or not bounded."""
    if depth < 0:
        raise InvalidEdit(f"the JSON is nested deeper than {MAX_DEPTH}")
    match value:
        case dict():
            for key, child in value.items():
                if not isinstance(key, str):
                    raise InvalidEdit(f"the JSON has the key {key!r}, which is not a string")
                _check(child, depth - 1)
        case list() | tuple():
            for child in value:
                _check(child, depth - 1)
        case float() if not math.isfinite(value):
            raise InvalidEdit("the JSON has a number that is not finite")
        case None | str() | int() | float():
            pass
        case _:
            raise InvalidEdit(f"a {type(value).__name__} is not JSON")


def _check_numbers(value: object) -> None:
    """Only of what is written: a larger integer that a Yjs program put there may stay."""
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise InvalidEdit(f"the integer {value} is beyond 2^53 - 1: write it as a string")
    children: Sequence[object] = ()
    if isinstance(value, dict):
        children = list(value.values())
    elif isinstance(value, list):
        children = value
    for child in children:
        _check_numbers(child)
