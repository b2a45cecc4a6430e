"""`peat docs watch`: documents as they change."""

import re
from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec
import typer

from cli import render
from cli.client import Answer, Daemon
from cli.event_stream import Happened
from cli.follow import Connected, Lost, News, follow
from cli.locate import Options
from cli.options import daemon, options
from cli.outcome import Exit, Stop
from cli.refusal import refusal

T = TypeVar("T")

_OK, _NOT_FOUND, _FAILED = 200, 404, 500
_ID = re.compile(r"[0-9a-f-]{1,100}")

_RESET = {
    "restarted": "the daemon was restarted, and what changed meanwhile is not known",
    "behind": "too much has changed since to tell it all",
    "unknown": "the daemon does not know where to go on from",
}
"""What a reset's reason means."""


class _Event(msgspec.Struct):
    type: str
    collection: str
    id: str
    incarnation: int
    origin: str | None


class _Reset(msgspec.Struct):
    reason: str


class _Document(msgspec.Struct):
    document: msgspec.Raw
    roots: dict[str, msgspec.Raw] = {}  # msgspec makes a new one each time


class _Peer(msgspec.Struct):
    id: str
    device_id: str | None


class _Peers(msgspec.Struct):
    peers: list[_Peer]


def watch(
    ctx: typer.Context,
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[COLLECTION[/ID]]", help="Only of this collection, or one document.", show_default=False
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="EVENT-ID", help="Begin after this event; --json tells their ids.")
    ] = None,
) -> None:
    """Documents as they change, until interrupted. Of one document: all of it, each time.

    Goes on by itself when the daemon is restarted. --json prints one event per line, with its id.
    """
    if since is not None and not _ID.fullmatch(since):
        raise Stop(Exit.USAGE, "--since is not an event's id; `peat docs watch --json` tells them")
    query = _query(what)
    tell = _teller(options(ctx), lambda: daemon(ctx), query.get("document"))
    render.end_with_reader()
    for news in follow(lambda: daemon(ctx), query, since):
        note_interruption(news)
        tell(news)


def note_interruption(news: News) -> None:
    """Says on stderr what a watcher must know beside the events."""
    match news:
        case Connected(again=True):
            render.note("the daemon answers again")
        case Lost(why):
            render.note(f"{why}; trying again")
        case Happened(kind="reset"):
            reason = _parse(news, _Reset).reason
            render.note(f"reset: {_RESET.get(reason, reason)}; look again at what matters")


def _teller(given: Options, find: Callable[[], Daemon], document: str | None) -> Callable[[News], None]:
    if given.as_json:
        return _tell_json
    return _Lines(find, render.say).tell if document is None else _Shown(find, document).tell


def _query(what: str | None) -> dict[str, str]:
    if what is None:
        return {"kinds": "document"}
    from peatd.names import document_name, parse_document_name

    if "/" not in what:
        document_name(what, "any")  # refuses what is no name
        return {"collection": what}
    return {"document": parse_document_name(what)}


def _tell_json(news: News) -> None:
    if isinstance(news, Happened):
        line = {"event": news.kind, "id": news.id, "data": msgspec.Raw(news.data)}
        render.say_body(msgspec.json.encode(line))


class _Lines:
    """A line per event."""

    def __init__(self, find: Callable[[], Daemon], say: Callable[[str], None]) -> None:
        self._find = find
        self._say = say
        self._names: dict[str, str] = {}

    def tell(self, news: News) -> None:
        if not isinstance(news, Happened) or news.kind != "document":
            return
        event = _parse(news, _Event)
        where = "here" if event.origin is None else f"from {self._name(event.origin)}"
        name = render.plain(f"{event.collection}/{event.id}")
        self._say(f"{render.plain(event.type)} {name}, incarnation {event.incarnation}, {where}")

    def _name(self, device_id: str) -> str:
        """What operators call the peer, as long as this node knows it."""
        if device_id not in self._names:
            try:
                found = self._find().ask("GET", "/peers").parse(_Peers).peers
            except Stop:  # it will be said when the stream ends, too
                found = []
            self._names |= {peer.device_id: peer.id for peer in found if peer.device_id is not None}
        return render.plain(self._names.setdefault(device_id, device_id))


class _Shown:
    """One document, printed whenever it is another than before."""

    def __init__(self, find: Callable[[], Daemon], name: str) -> None:
        self._find = find
        self._name = name
        self._etag: str | None = ""
        self._lines = _Lines(find, render.note)  # so that stdout is JSON and nothing else

    def tell(self, news: News) -> None:
        self._lines.tell(news)
        if not isinstance(news, Lost):
            self._show()

    def _show(self) -> None:
        try:
            answer = self._find().ask("GET", f"/documents/{self._name}")
        except Stop as stop:
            if stop.code is Exit.NO_ANSWER:
                return  # the stream will end, too, and when it is back this is tried again
            raise
        if answer.status == _NOT_FOUND:
            self._say_once(None, lambda: render.note(f"there is no document {self._name} now; waiting for it"))
        elif answer.status == _OK:
            self._say_once(answer.etag, lambda: render.say(_text(answer)))
        elif answer.status >= _FAILED:
            render.note(f"{refusal(answer.status, answer.body)}; waiting for its next change")
        else:
            raise refusal(answer.status, answer.body)

    def _say_once(self, etag: str | None, say: Callable[[], None]) -> None:
        if etag != self._etag:
            self._etag = etag
            say()


def _text(answer: Answer) -> str:
    """The document as `get` prints it; all roots, by name, where it has others: they are what its writers see."""
    found = answer.parse(_Document)
    return render.pretty(msgspec.json.encode(found) if found.roots else found.document)


def _parse(news: Happened, shape: type[T]) -> T:
    return Answer(_OK, news.data, None).parse(shape)
