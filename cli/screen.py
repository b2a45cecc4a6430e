"""A terminal on which one text is shown, and replaced in place: no flicker, and nothing scrolls away."""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Self

_ENTER = "\x1b[?1049h\x1b[?25l"
"""The alternate screen, without a cursor (xterm's control sequences, as every terminal since has them)."""
_LEAVE = "\x1b[?25h\x1b[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"


class Screen:
    """While it is open, stdout is the screen's. Whatever ends the program, the terminal is as it was before.

    Args:
        resized: called when the window has another size; from a signal handler, so it may do next to nothing.
    """

    def __init__(self, resized: Callable[[], None]) -> None:
        self._resized = resized

    def __enter__(self) -> Self:
        signal.signal(signal.SIGWINCH, lambda *_: self._resized())
        signal.signal(signal.SIGTERM, _end)
        signal.signal(signal.SIGHUP, _end)
        _write(_ENTER)
        return self

    def __exit__(self, *_: object) -> None:
        _write(_LEAVE)

    def show(self, text: str) -> None:
        """Shows the text, as far as the window is high."""
        _write(frame(text, shutil.get_terminal_size().lines))


def frame(text: str, height: int) -> str:
    """What replaces whatever a terminal of this height shows by the text, in one write.

    Its lines are known to fit in width. The last line of the window stays empty: a line's end there would scroll.
    """
    lines = text.splitlines()
    room = max(height - 1, 1)
    if len(lines) > room:
        lines = [*lines[: room - 1], f"… {len(lines) - room + 1} more lines: make the window higher"]
    return _HOME + "".join(f"{line}{_CLEAR_LINE}\r\n" for line in lines) + _CLEAR_BELOW


def _write(text: str) -> None:
    sys.stdout.flush()
    os.write(sys.stdout.fileno(), text.encode("utf-8", "backslashreplace"))


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
