"""JSON as edits of a document. Sans-IO.

Objects become Y.Maps, lists Y.Arrays, strings and all else plain values. What is there already is edited in place, so
that nodes can change different parts of it at once and all changes survive: maps key by key, arrays element by element,
a text that a Yjs program made (Y.Text) word by word. Other shared types of Yjs programs, and their plain objects and
lists, are replaced whole.

Edits touch only what differs, and what differs is decided on the JSON: writing back what was read changes nothing.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from peatd.engine.differences import Difference, differences, text_differences
from peatd.engine.draft import Draft
from peatd.engine.items import ARRAY, MAP, TEXT, Branch, Id, Item
from peatd.engine.json_view import MAX_INTEGER, number, view
from peatd.errors import InvalidEdit
from peatd.lib0 import MAX_DEPTH
from peatd.structs import STRING

_ABSENT = object()
_EDITED: Mapping[type, int] = {dict: MAP, list: ARRAY, str: TEXT}
"""The shared types that are edited in place, by the JSON that they are to become equal to."""


def put(draft: Draft, branch: Branch, target: Mapping[str, Any]) -> None:
    """Makes a shared map equal to a JSON object.

    Raises:
        InvalidEdit: if a document cannot hold the JSON.
    """
    _check(target)
    _put_map(draft, branch, target)


def patch(draft: Draft, branch: Branch, merge_patch: Mapping[str, Any]) -> None:
    """Changes a shared map by an RFC 7396 merge patch.

    Raises:
        InvalidEdit: if a document cannot hold the JSON.
    """
    _check(merge_patch)
    _patch_map(draft, branch, merge_patch)


def _patch_map(draft: Draft, branch: Branch, merge_patch: Mapping[str, Any]) -> None:
    for key, value in merge_patch.items():
        item = branch.value_of(key)
        current = _ABSENT if item is None else item.value
        if value is None:
            if item is not None:
                draft.remove(item)
        elif isinstance(value, dict) and isinstance(current, Branch) and current.kind == MAP:
            _patch_map(draft, current, value)
        else:
            after = merged(view(current) if isinstance(value, dict) and item is not None else None, value)
            _set(draft, branch, key, current, after)


def merged(target: Any, merge_patch: Any) -> Any:
    """RFC 7396, section 2."""
    if not isinstance(merge_patch, dict):
        return merge_patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in merge_patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _put_map(draft: Draft, branch: Branch, target: Mapping[str, Any]) -> None:
    for key in branch.entries:
        if key not in target and (item := branch.value_of(key)) is not None:
            draft.remove(item)
    for key, value in target.items():
        item = branch.value_of(key)
        _set(draft, branch, key, _ABSENT if item is None else item.value, value)


def _set(draft: Draft, branch: Branch, key: str, current: Any, value: Any) -> None:
    if current is _ABSENT or not (_edited(draft, current, value) or _token(view(current)) == _token(value)):
        _check_numbers(value)
        draft.set(branch, key, value)


def _edited(draft: Draft, current: Any, value: Any) -> bool:
    """Makes what is there equal to the value, in place; whether that can be done."""
    if not _can_be_edited(current, value):
        return False
    match value:
        case dict():
            _put_map(draft, current, value)
        case list():
            _put_array(draft, current, value)
        case _:
            _put_text(draft, current, value)
    return True


def _put_array(draft: Draft, branch: Branch, target: Sequence[Any]) -> None:
    line = _Line((item, len(item.values)) for item in branch.sequence())
    old = [value for item in branch.sequence() for value in item.values]
    for d in differences([_token(view(value)) for value in old], [_token(value) for value in target]):
        paired = min(d.end - d.start, d.new_end - d.new_start)
        pairs = [n for n in range(paired) if _edited(draft, old[d.start + n], target[d.new_start + n])]
        # What was edited in place stays, and cuts the rest into pieces.
        for piece in _pieces(d, pairs):
            _replace_elements(draft, branch, line, piece, target)


def _can_be_edited(current: Any, value: Any) -> bool:
    return isinstance(current, Branch) and current.kind == _EDITED.get(type(value))


def _pieces(d: Difference, pairs: Sequence[int]) -> Iterator[Difference]:
    start, new_start = d.start, d.new_start
    for offset in pairs:
        yield Difference(start, d.start + offset, new_start, d.new_start + offset)
        start, new_start = d.start + offset + 1, d.new_start + offset + 1
    yield Difference(start, d.end, new_start, d.new_end)


def _replace_elements(draft: Draft, branch: Branch, line: "_Line", d: Difference, target: Sequence[Any]) -> None:
    values = target[d.new_start : d.new_end]
    if values:
        _check_numbers(values)
        draft.insert(branch, *line.neighbours(d.start, branch), values)
    line.delete(draft, d.start, d.end)


def _put_text(draft: Draft, branch: Branch, target: str) -> None:
    items = [item for item in branch.sequence() if item.ref == STRING]
    line = _Line((item, len(item.content)) for item in items)
    for d in text_differences("".join(item.content for item in items), target):
        if text := target[d.new_start : d.new_end]:
            draft.write(branch, *line.neighbours(d.start, branch), text)
        line.delete(draft, d.start, d.end)


class _Line:
    """Where the visible elements of an array, or the characters of a text, are in its items."""

    def __init__(self, items: Iterable[tuple[Item, int]]) -> None:
        self._items: list[Item] = []
        self._starts: list[int] = []
        end = 0
        for item, count in items:
            if count:
                self._items.append(item)
                self._starts.append(end)
                end += count

    def neighbours(self, position: int, branch: Branch) -> tuple[Id | None, Id | None]:
        """Between which two ids that position is: behind the visible one before it, as Yjs has it."""
        if not position:
            return None, branch.start.id if branch.start is not None else None
        item, _, end = self._at(position - 1)
        origin = item.client, item.clock + end - 1
        if end < item.length:
            return origin, (item.client, item.clock + end)
        return origin, item.right.id if item.right is not None else None

    def delete(self, draft: Draft, start: int, end: int) -> None:
        while start < end:
            item, first, _ = self._at(start)
            index = bisect_right(self._starts, start)
            last = min(end, self._starts[index]) if index < len(self._starts) else end
            _, _, behind = self._at(last - 1)
            draft.delete(item.client, item.clock + first, behind - first)
            start = last

    def _at(self, position: int) -> tuple[Item, int, int]:
        """The item that holds it, and from which to which clock in it."""
        index = bisect_right(self._starts, position) - 1
        item, offset = self._items[index], position - self._starts[index]
        if item.ref != STRING or item.content.isascii():
            return item, offset, offset + 1
        units = len(item.content[:offset].encode("utf-16-le")) // 2
        return item, units, units + (2 if item.content[offset] > "\uffff" else 1)


def _token(value: Any) -> bytes:
    """Equal for equal JSON: 1 and 1.0 are the same number, but true is not 1 (which Python says it is)."""
    return msgspec.json.encode(_plain(value), order="deterministic")


def _plain(value: Any) -> Any:
    match value:
        case float():
            return number(value)
        case dict():
            return {key: _plain(child) for key, child in value.items()}
        case list() | tuple():
            return [_plain(child) for child in value]
    return value


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
