"""How a log line looks, as text and as JSON. Sans-IO.

A line is a line: control characters in what peers and clients send us are escaped, and nothing is longer than a
stated bound.
"""

import json
import math
import re
import traceback
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType

MAX_TEXT_LENGTH = 8 * 1024
"""Characters of one value: a deep traceback fits, a document does not."""

Line = Callable[[str, str, str, Mapping[str, object]], str]
"""Time, level, event and fields become a line without its end."""

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None]

_MAX_DEPTH = 4
_MAX_ITEMS = 64
_EVENT_WIDTH = 36
"""Columns: most events are shorter, so that fields begin below each other."""

_RESET, _FAINT, _BOLD = "\x1b[0m", "\x1b[2m", "\x1b[1m"
_COLOURS = {"debug": "\x1b[34m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
_BARE = re.compile(r"[^\s\"'=\\\x00-\x1f\x7f-\x9f]+")
_EXCEPTION = "exception"


def json_line(time: str, level: str, event: str, fields: Mapping[str, object]) -> str:
    """One JSON object, in ASCII. A field called like one of our own three gets `_` behind its name."""
    line: dict[str, object] = {"timestamp": time, "level": level, "event": event[:MAX_TEXT_LENGTH]}
    for name, value in fields.items():
        line[f"{name}_" if name in line else name] = plain(value)
    return json.dumps(line)


def text_line(*, is_coloured: bool) -> Line:
    """Time, level, event, then `name=value`. A traceback follows on lines of its own, indented."""

    def paint(text: str, colour: str) -> str:
        return f"{colour}{text}{_RESET}" if is_coloured else text

    def render(time: str, level: str, event: str, fields: Mapping[str, object]) -> str:
        said = escape(event[:MAX_TEXT_LENGTH])
        parts = [
            paint(time, _FAINT),
            paint(f"{level:<8}", _COLOURS.get(level, "")),
            paint(f"{said:<{_EVENT_WIDTH}}", _BOLD),
        ]
        parts += [f"{escape(name)}={_bare(value)}" for name, value in fields.items() if name != _EXCEPTION]
        lines = str(fields.get(_EXCEPTION, "")).splitlines()
        return "\n    ".join([" ".join(parts).rstrip(), *map(escape, lines)])

    return render


def plain(value: object, depth: int = 0) -> object:
    """What JSON has for any value: bounded in length and depth, so that no value makes a line endless."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case bytes() | bytearray() | memoryview():
            return bytes(value[:32]).hex()  # enough to tell ids and digests; contents do not belong in a log
        case BaseException():
            return f"{type(value).__name__}: {value}"[:MAX_TEXT_LENGTH]
        case Mapping() if depth < _MAX_DEPTH:
            return {str(key): plain(value[key], depth + 1) for key in _first(value)}
        case list() | tuple() | set() | frozenset() if depth < _MAX_DEPTH:
            return [plain(item, depth + 1) for item in _first(value)]
        case _:
            return str(value)[:MAX_TEXT_LENGTH]


def describe_exception(info: object) -> str:
    """The traceback of what a log call's `exc_info` holds: an exception, or the three that `sys.exc_info` gives."""
    exception = info[1] if isinstance(info, tuple) else info
    if not isinstance(exception, BaseException):
        return ""
    # The end is what says what happened.
    return "".join(traceback.format_exception(exception)).rstrip()[-MAX_TEXT_LENGTH:]


def escape(text: str) -> str:
    """Without control characters: no new line, no terminal sequence."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _bare(value: object) -> str:
    """A value as text, in quotes where it could be misread."""
    simple = plain(value)
    if isinstance(simple, str):
        return simple if _BARE.fullmatch(simple) and simple.isprintable() else json.dumps(simple)
    return json.dumps(simple)


def _first(items: Iterable[object]) -> list[object]:
    return [item for item, _ in zip(items, range(_MAX_ITEMS), strict=False)]
