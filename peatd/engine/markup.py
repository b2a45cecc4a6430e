"""XML as Yjs prints it: `toString` of `src/types/YXml*.js`, which is their JSON too. Nothing is escaped. Sans-IO."""

import math
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from peatd.engine.items import TEXT, XML_ELEMENT, XML_FRAGMENT, XML_TEXT, Branch
from peatd.engine.values import SUBDOCUMENT, UNDEFINED
from peatd.errors import InvalidEdit
from peatd.lib0 import MAX_DEPTH
from peatd.structs import EMBED, FORMAT, STRING, TYPE

MAX_SHARED_DEPTH = 4 * MAX_DEPTH
"""Of shared types in each other. Our choice: only a hostile program nests them deeper."""


def markup(branch: Branch, depth: int = 0) -> str:
    """A shared XML type or text as a string.

    Raises:
        InvalidEdit: if it is nested too deep.
    """
    if depth > MAX_SHARED_DEPTH:
        raise InvalidEdit(f"the document is nested deeper than {MAX_SHARED_DEPTH}")
    match branch.kind:
        case int() as kind if kind == XML_TEXT:
            return "".join(_run(text, formats) for text, formats in _runs(branch, depth))
        case int() as kind if kind == TEXT:
            return plain_text(branch)
        case int() as kind if kind == XML_ELEMENT:
            tag = branch.name.lower()
            return f"<{tag}{_attributes(_entries(branch), depth)}>{_inside(branch, depth)}</{tag}>"
    return _inside(branch, depth)


def plain_text(branch: Branch) -> str:
    """What is written in a sequence, without formats and embeds."""
    return "".join(item.content for item in branch.sequence() if item.ref == STRING)


def _inside(branch: Branch, depth: int) -> str:
    return "".join(_string(value, depth + 1) for item in branch.sequence() for value in item.values)


def _entries(branch: Branch) -> Iterator[tuple[str, Any]]:
    for key in branch.entries:
        if (item := branch.value_of(key)) is not None:
            yield key, item.value


def _attributes(entries: Iterable[tuple[str, Any]], depth: int) -> str:
    by_name = sorted(entries, key=lambda entry: _utf16(entry[0]))
    return "".join(f' {name}="{_string(value, depth + 1)}"' for name, value in by_name)


def _runs(branch: Branch, depth: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """A text in pieces of one format each: `YText.toDelta`."""
    formats: dict[str, Any] = {}
    text: list[str] = []
    for item in branch.sequence():
        if item.ref == STRING:
            text.append(item.content)
            continue
        if item.ref not in (FORMAT, EMBED, TYPE):
            continue
        if text:
            yield "".join(text), dict(formats)
            text.clear()
        if item.ref != FORMAT:
            yield _string(item.value, depth + 1), dict(formats)
            continue
        key, value = item.content
        if value is None:
            formats.pop(key, None)
        else:
            formats[key] = value
    if text:
        yield "".join(text), dict(formats)


def _run(text: str, formats: dict[str, Any]) -> str:
    """Formats become elements around the text, and what a format holds their attributes."""
    tags = sorted(formats, key=_utf16)
    opening = "".join(f"<{tag}{_attributes(_properties(formats[tag]), 0)}>" for tag in tags)
    return opening + text + "".join(f"</{tag}>" for tag in reversed(tags))


def _properties(value: Any) -> Iterator[tuple[str, Any]]:
    """What JavaScript's `for (key in value)` meets."""
    match value:
        case dict():
            yield from value.items()
        case list():
            yield from ((str(index), child) for index, child in enumerate(value))
        case str():
            units = value.encode("utf-16-le")
            for index in range(len(units) // 2):
                yield str(index), units[2 * index : 2 * index + 2].decode("utf-16-le", "replace")


def _string(value: Any, depth: int) -> str:
    """What JavaScript's `String(value)` gives."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _number(value)
        case None:
            return "null"
        case bytes():
            return ",".join(map(str, value))
        case list():
            return ",".join("" if child in (None, UNDEFINED) else _string(child, depth) for child in value)
        case Branch(kind=kind) if kind in (TEXT, XML_ELEMENT, XML_FRAGMENT, XML_TEXT):
            return markup(value, depth)
        case _ if value is UNDEFINED:
            return "undefined"
        case _ if value is SUBDOCUMENT:
            return "[object Object]"
    return "[object Object]"


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    digits = repr(value)
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        return format(Decimal(digits), "f").removesuffix(".0").removeprefix("-" if value == 0 else "")
    mantissa, _, exponent = digits.partition("e")
    return f"{mantissa}e{int(exponent):+d}"


def _utf16(text: str) -> bytes:
    """Orders as JavaScript does."""
    return text.encode("utf-16-be")
