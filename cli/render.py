"""Answers as text: tables, lists of facts, times and sizes for people; and the one way to stdout."""

import json
import os
import select
import shutil
import stat
import sys
import textwrap
import threading
from collections.abc import Iterable, Sequence

import msgspec

from cli.outcome import Exit, Stop

NOTHING = "-"
"""Stands where there is no value: a column is never empty, so that `awk` counts right."""

_GAP = "  "
_LEAST_LAST_COLUMN = 24
"""Characters. A last column narrower than this is not worth wrapping into."""


def say(text: str) -> None:
    """Prints the answer; a line's end is added where there is none."""
    say_body((text if not text or text.endswith("\n") else text + "\n").encode("utf-8", "backslashreplace"))


def say_body(body: bytes) -> None:
    """Prints bytes as they are; a line's end is added where there is none.

    Raises:
        Stop: if nobody reads any more, or they cannot be written.
    """
    if body and not body.endswith(b"\n"):
        body += b"\n"
    _require_stdout()
    try:
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
    except OSError as exc:
        # Else the interpreter tries again at its end, and complains.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(exc, BrokenPipeError):
            raise Stop(Exit.READER_GONE) from exc
        raise Stop(Exit.NO, f"the answer cannot be written to stdout: {exc.strerror}; write it elsewhere") from exc


def end_with_reader() -> None:
    """From now on the program ends when the reader of stdout leaves, and not only when there is more to say to it.

    Raises:
        Stop: if there never was one.
    """
    _require_stdout()
    try:
        descriptor = sys.stdout.fileno()
    except OSError:
        return  # no file at all: somebody has put something else in its place
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        threading.Thread(target=_wait_for_reader_to_leave, args=(descriptor,), daemon=True).start()


def _wait_for_reader_to_leave(descriptor: int) -> None:
    gone = select.poll()
    gone.register(descriptor, 0)  # what is always asked for: errors, and that the other end hung up
    gone.poll()
    os._exit(Exit.READER_GONE)  # the main thread is reading


def note(text: str) -> None:
    """Says something that is not the answer, on stderr; to nobody where that is closed."""
    if sys.stderr is None:
        return
    sys.stderr.write(f"peat: {plain(text)}\n")


def plain(text: str) -> str:
    """`text` without what would steer a terminal: it may come from another node."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """One `name  value` per line, the values under each other."""
    lines = [(name, plain(value)) for name, value in pairs]
    width = max(len(name) for name, _ in lines)
    return "".join(f"{name:<{width}}{_GAP}{value}\n" for name, value in lines)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None = None) -> str:
    """Columns under headings. Nothing is ever cut off: what is too wide wraps in the last column, and where even that
    has no room, each row becomes a list of facts.

    Args:
        width: in characters; the terminal's by default, boundless where stdout is none.
    """
    width = terminal_width() if width is None else width
    cells = [[plain(cell) or NOTHING for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(headings, *cells, strict=True)]
    before_last = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
    room = width - before_last
    if room < min(widths[-1], _LEAST_LAST_COLUMN):
        return "\n".join(facts(zip(headings, row, strict=True)) for row in cells)
    return "".join(_row(row, widths, before_last, room) for row in [headings, *cells])


def wrapped(text: str) -> str:
    """A sentence, in lines that fit the terminal."""
    return textwrap.fill(plain(text), min(terminal_width(), 10_000)) + "\n"


def pretty(body: bytes | msgspec.Raw) -> str:
    """JSON, indented; numbers and strings stay as they were written, but for what would steer a terminal."""
    text = msgspec.json.format(body, indent=2).decode("utf-8", "replace")
    return "".join(char if char.isprintable() or char == "\n" else _escaped(char) for char in text)


def duration(seconds: float) -> str:
    """A length of time in the unit that a person would take."""
    if seconds == 0:
        return "0 s"
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 0.9995:  # from there on it is rounded to 1000
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 60:
        return f"{max(int(seconds), 1)} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min"
    large, small = (3600, 60) if seconds < 86400 else (86400, 3600)
    units = ("h", "min") if large == 3600 else ("d", "h")
    count, rest = divmod(int(seconds), large)
    return f"{count} {units[0]} {rest // small} {units[1]}"


def ago(seconds: float | None) -> str:
    """When something was, as seen from now; None is never."""
    if seconds is None:
        return "never"
    return "now" if seconds < 1 else f"{duration(seconds)} ago"


def size(size_bytes: int) -> str:
    """A number of bytes, in powers of 1000."""
    amount, unit = float(size_bytes), "B"
    for larger in ("kB", "MB", "GB"):
        if amount < 999.5:  # from there on it is rounded to 1000
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.3g} {unit}" if amount < 999.5 else f"{amount:.0f} {unit}"


def _require_stdout() -> None:
    if sys.stdout is None:
        raise Stop(Exit.NO, "stdout is closed; leave it open for the answer")


def _escaped(char: str) -> str:
    """As JSON has it, outside the basic plane as two surrogates."""
    return json.dumps(char)[1:-1] if char > "\x7f" else f"\\u{ord(char):04x}"


def terminal_width() -> int:
    """In characters; boundless where stdout is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize


def _row(row: Sequence[str], widths: Sequence[int], indent: int, room: int) -> str:
    first = "".join(f"{cell:<{width}}{_GAP}" for cell, width in zip(row[:-1], widths, strict=False))
    last = [row[-1]] if len(row[-1]) <= room else textwrap.wrap(row[-1], room)
    return first + ("\n" + " " * indent).join(last) + "\n"
