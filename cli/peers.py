"""`peat peers`: the other nodes that this one knows."""

import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Annotated

import msgspec
import typer

from cli import render
from cli.client import Answer, Daemon
from cli.follow import Lost, News, follow
from cli.options import daemon, options, reply
from cli.outcome import Exit, Stop
from cli.refusal import refusal
from cli.render import NOTHING, ago, duration, table
from cli.screen import Screen
from cli.watch import note_interruption

_HEADINGS = ("ID", "DEVICE ID", "STATE", "SOURCE", "ADDRESS", "VIA", "RTT", "LAST SYNC", "OWED", "LAST ERROR")

_OK = 200
_REFRESH = 5.0
"""Seconds after which a table on a terminal is made anew: round-trip times and ages are no events."""


class _Peer(msgspec.Struct):
    id: str
    device_id: str | None
    state: str
    rtt_ms: float | None
    source: str | None
    addresses: list[str]
    relay_url: str | None
    last_sync_secs: float | None
    owed_documents: int
    error: str | None
    via: str | None = None


class _Peers(msgspec.Struct):
    peers: list[_Peer]


def peers(
    ctx: typer.Context,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show them anew when something changes, until stopped.")
    ] = False,
) -> None:
    """The other nodes that this one knows. How it found each, whether it is linked, and what it is owed."""
    if not watch:
        return reply(ctx, daemon(ctx).ask("GET", "/peers"), _text)
    news = _news(lambda: daemon(ctx))
    if sys.stdout is not None and sys.stdout.isatty() and not options(ctx).as_json:
        return _watch_on_screen(lambda: daemon(ctx), news)
    render.end_with_reader()
    return _print_each(ctx, news)


_Next = News | Stop | None
"""What a watcher waits for: news of the peers, the end, or (None) that time or the window asks for another look."""


def _news(find: Callable[[], Daemon]) -> "queue.SimpleQueue[_Next]":
    """The news, gathered by a thread of its own: who waits for them can wait for something else too."""
    arrived: queue.SimpleQueue[_Next] = queue.SimpleQueue()

    def gather() -> None:
        try:
            for news in follow(find, {"kinds": "peer"}):
                arrived.put(news)
        except Stop as stop:
            arrived.put(stop)

    threading.Thread(target=gather, daemon=True).start()
    return arrived


def _print_each(ctx: typer.Context, arrived: "queue.SimpleQueue[_Next]") -> None:
    is_first = True
    while True:
        news = arrived.get()
        if isinstance(news, Stop):
            raise news
        if news is not None:
            note_interruption(news)
        if isinstance(news, Lost) or not arrived.empty():
            continue
        answer = _ask(lambda: daemon(ctx))
        if isinstance(answer, Stop):
            continue  # the stream has ended, too, and goes on when there is an answer
        if options(ctx).as_json:
            render.say_body(answer.body)
        else:
            render.say(_text(answer) if is_first else "\n" + _text(answer))
        is_first = False


def _watch_on_screen(find: Callable[[], Daemon], arrived: "queue.SimpleQueue[_Next]") -> None:
    first = arrived.get()
    if isinstance(first, Stop):
        raise first
    shown, trouble = "", ""
    last: Answer | None = None
    try:
        with Screen(resized=lambda: arrived.put(None)) as screen:
            while True:
                answer = _ask(find)
                if isinstance(answer, Answer):
                    last, trouble = answer, ""
                else:
                    trouble = "\n" + render.wrapped(f"{answer}; trying again")
                shown = "" if last is None else _text(last)
                screen.show(f"peers at {time.strftime('%H:%M:%S')}, until Ctrl-C\n\n{shown}{trouble}")
                _wait(arrived)
    finally:
        render.say(shown)


def _ask(find: Callable[[], Daemon]) -> Answer | Stop:
    """The peers, or why nobody answers.

    Raises:
        Stop: if the API refuses.
    """
    try:
        answer = find().ask("GET", "/peers")
    except Stop as stop:
        if stop.code is Exit.NO_ANSWER:
            return stop
        raise
    if answer.status != _OK:
        raise refusal(answer.status, answer.body)
    return answer


def _wait(arrived: "queue.SimpleQueue[_Next]") -> None:
    """Returns when it is time for another look.

    Raises:
        Stop: if there is nothing more to see.
    """
    try:
        news = arrived.get(timeout=_REFRESH)
        while True:
            if isinstance(news, Stop):
                raise news
            news = arrived.get_nowait()
    except queue.Empty:
        pass


def _text(answer: Answer) -> str:
    found = answer.parse(_Peers).peers
    return table(_HEADINGS, [_row(peer) for peer in found]) if found else "no peers yet\n"


def _row(peer: _Peer) -> tuple[str, ...]:
    return (
        peer.id,
        peer.device_id or NOTHING,
        peer.state,
        peer.source or NOTHING,
        ", ".join(peer.addresses) or peer.relay_url or NOTHING,
        peer.via or NOTHING,
        NOTHING if peer.rtt_ms is None else duration(peer.rtt_ms / 1000),
        ago(peer.last_sync_secs),
        str(peer.owed_documents),
        peer.error or NOTHING,
    )
