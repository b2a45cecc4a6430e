"""Logs: one line per event on stderr, as text or JSON, through structlog. `open_log` comes first, and once.

Rules:
1. Logging never waits. Lines go into a bounded backlog that a thread of its own writes, because a stalled pipe
   (a terminal on hold, a log collector that hangs) would stall the event loop and with it every link.
2. Logging never raises. What cannot be rendered or written is given up; a log is not worth a node.
3. Lines that are lost are counted, and the count is logged where they would have stood.
4. A line is a line: what peers and clients send us can neither begin another one nor steer a terminal.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, MutableMapping
from datetime import UTC, datetime

import structlog

from peatd.log_backlog import Backlog
from peatd.log_lines import Line, describe_exception, json_line, text_line

FLUSH_TIMEOUT = 1.0
"""Seconds that a stalled stderr may delay our end; Kubernetes grants 30 for all of it."""

_STDERR = 2
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


@contextlib.contextmanager
def open_log(*, level: str, form: str, descriptor: int = _STDERR) -> Iterator[Backlog]:
    """Sends what structlog and the standard library log to a file descriptor, until the block ends.

    Args:
        level: the least that is logged: `debug`, `info`, `warning`, `error`. Of libraries at least `warning`.
        form: `text` or `json`.

    Yields:
        The backlog: who ends the process in another way than by leaving the block flushes it first.
    """
    render = _LineRenderer(json_line if form == "json" else text_line(is_coloured=_is_terminal(descriptor)))
    backlog = Backlog(descriptor, render.lost)
    bridge = _LibraryHandler(render, backlog)
    bridge.setLevel(max(_LEVELS[level], logging.WARNING))
    root = logging.getLogger()
    root.addHandler(bridge)
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, render],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: _Sink(backlog),
        # A cached logger would keep the backlog of an earlier block.
        cache_logger_on_first_use=False,
    )
    try:
        yield backlog
    finally:
        structlog.reset_defaults()
        logging.captureWarnings(capture=False)
        root.removeHandler(bridge)
        backlog.close(FLUSH_TIMEOUT)


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


class _LineRenderer:
    """Makes a line of an event: the last of structlog's processors, and what the standard library's go through."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def __call__(self, _logger: object, method: str, fields: MutableMapping[str, object]) -> bytes:
        try:
            event = str(fields.pop("event", ""))
            info = fields.pop("exc_info", None)
            exception = describe_exception(sys.exception() if info is True else info)
            if exception:
                fields["exception"] = exception
            return self._finish(method, event, fields)
        except Exception as exc:
            # Rule 2. Whatever a field's `__str__` does, the node goes on; its type says where to look.
            return self._finish("error", "a log line could not be rendered", {"error": type(exc).__name__})

    def lost(self, count: int) -> bytes:
        """Says how many lines are missing (rule 3)."""
        return self._finish("warning", "log lines were lost, stderr was stalled", {"count": count})

    def _finish(self, level: str, event: str, fields: MutableMapping[str, object]) -> bytes:
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return (self._line(time, level, event, fields) + "\n").encode("utf-8", "backslashreplace")


class _Sink:
    """What structlog calls a logger: takes finished lines, whatever their level."""

    def __init__(self, backlog: Backlog) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = backlog.put


class _LibraryHandler(logging.Handler):
    """The way in for libraries that log through the standard library: hypercorn, urllib3, kubernetes."""

    def __init__(self, render: _LineRenderer, backlog: Backlog) -> None:
        super().__init__()
        self._render = render
        self._backlog = backlog

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event = record.getMessage()
        except Exception:
            event = str(record.msg)  # Rule 2: its arguments do not fit its format
        fields: dict[str, object] = {"event": event, "logger": record.name, "exc_info": record.exc_info}
        self._backlog.put(self._render(None, record.levelname.lower(), fields))
