"""Follows the daemon's events for ever: through broken connections and restarts, and without missing any in silence."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from cli.client import Daemon
from cli.event_stream import Happened, Parser
from cli.outcome import Exit, Stop

_LIVED = 5.0
"""Seconds after which a connection was a good one: its loss is a new one."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 2.0
"""Seconds. A daemon is restarted in two, and whoever watches would rather not miss what it does then."""

_SILENCE = 45.0
"""Seconds: three of the daemon's heartbeats."""


@dataclass(frozen=True, slots=True)
class Connected:
    """Events come from now on. `again`: after `Lost`, and none was missed unless a `reset` comes."""

    again: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """No events come for now; it is tried again."""

    why: str


News = Happened | Connected | Lost


def follow(find: Callable[[], Daemon], query: Mapping[str, str], since: str | None = None) -> Iterator[News]:
    """All events that the query of `GET /events` asks for.

    Args:
        find: looks for the daemon, each time anew: a restarted one has a new token.

    Raises:
        Stop: if the first connection fails, or a later one is refused.
    """
    parser, pauses = Parser(since), _Pauses()
    is_lost = was_connected = False
    while True:
        why = "the daemon went away"
        begun = time.monotonic()
        try:
            with find().stream(_route(query), parser.position, _SILENCE) as pieces:
                yield Connected(again=was_connected)
                was_connected, is_lost = True, False
                for piece in pieces:
                    yield from parser.feed(piece)
        except Stop as stop:
            if not was_connected or stop.code not in (Exit.NO_ANSWER, Exit.API_FAILED):
                raise
            why = str(stop)
        except ValueError as exc:
            raise Stop(
                Exit.API_FAILED, f"this is no stream of peatd's ({exc}); name the daemon's API with --api"
            ) from exc
        if not is_lost:
            is_lost = True
            yield Lost(why)
        time.sleep(pauses.next(time.monotonic() - begun))


class _Pauses:
    """Between two connections: full jitter, 0.25 s doubling to 2 s."""

    def __init__(self) -> None:
        self._failures = 0

    def next(self, lived: float) -> float:
        self._failures = 0 if lived >= _LIVED else self._failures + 1
        return random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._failures, 10)))


def _route(query: Mapping[str, str]) -> str:
    return f"/events?{urlencode(query)}" if query else "/events"
