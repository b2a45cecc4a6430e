"""`peat docs`: documents as JSON."""

import re
import sys
from typing import Annotated
from urllib.parse import quote, urlencode

import msgspec
import typer

from cli import render
from cli.client import TIMEOUT, Answer
from cli.options import Verb, Verbs, accept, daemon, options, refuse_nan, reply
from cli.outcome import Exit, Stop

docs = typer.Typer(cls=Verbs, help="Documents as JSON; COLLECTION/ID names one.", no_args_is_help=True)

_DEFAULT_WAIT = 10.0
"""Seconds that the API waits for an acknowledgement where no --timeout says how long."""

_LONGEST_WAIT = 300.0
"""Seconds; the API takes no more."""

_PAGE = 1000
"""Documents per answer: the most that the API gives."""

_ACK = re.compile(r"applied|durable|replicated:[1-9][0-9]*")
_STDIN = "-"
_CREATED = 201

Name = Annotated[str, typer.Argument(metavar="COLLECTION/ID", help="The document's name.", show_default=False)]
Json = Annotated[str, typer.Argument(metavar="JSON", help="An object; - reads it from stdin.", show_default=False)]
Etag = Annotated[bool, typer.Option("--etag", help="Say the version, for --if-match, on stderr.")]
Ack = Annotated[
    str | None,
    typer.Option(metavar="applied|durable|replicated:K", help="Wait until the change is there (default: durable)."),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        min=0, max=_LONGEST_WAIT, callback=refuse_nan, metavar="SECONDS", help="Wait no longer for --ack (default: 10)."
    ),
]
IfMatch = Annotated[
    str | None, typer.Option(metavar="ETAG", help="Only if this is still its version; `docs get` tells it.")
]


class _Listing(msgspec.Struct):
    collection: str
    id: str
    incarnation: int
    size_bytes: int
    held: bool = True


class _Listings(msgspec.Struct):
    documents: list[_Listing]
    next: str | None = None


class _Document(msgspec.Struct):
    document: msgspec.Raw
    roots: dict[str, msgspec.Raw] = {}  # msgspec makes a new one each time


class _Written(msgspec.Struct):
    incarnation: int
    ack: str


@docs.command("list", cls=Verb)
def list_documents(
    ctx: typer.Context,
    collection: Annotated[str | None, typer.Argument(metavar="[COLLECTION]", show_default=False)] = None,
    after: Annotated[
        str | None, typer.Option(metavar="COLLECTION/ID", help="Only those behind this one, in order of names.")
    ] = None,
) -> None:
    """The documents here: name, size and incarnation. --json prints one answer per 1000 of them."""
    route = "/documents" if collection is None else f"/documents/{quote(collection, safe='')}"
    asked = daemon(ctx)
    rows: list[tuple[str, ...]] = []
    while True:
        query = {"limit": str(_PAGE)} | ({} if after is None else {"after": after})
        answer = asked.ask("GET", f"{route}?{urlencode(query)}")
        accept(ctx, answer)
        found = answer.parse(_Listings)
        rows += [_row(listing) for listing in found.documents]
        if found.next is None or found.next == after:
            break
        after = found.next
    if not options(ctx).as_json:
        render.say(render.table(("NAME", "SIZE", "INCARNATION"), rows) if rows else "no documents")


@docs.command(cls=Verb)
def get(ctx: typer.Context, name: Name, etag: Etag = False) -> None:
    """One document."""
    answer = daemon(ctx).ask("GET", _route(name))
    reply(ctx, answer, _document)
    if etag and answer.etag is not None:
        render.note(f"version {answer.etag}; give it to --if-match")


@docs.command(cls=Verb)
def put(
    ctx: typer.Context, name: Name, value: Json, ack: Ack = None, timeout: Timeout = None, if_match: IfMatch = None
) -> None:
    """Replaces a document, or makes it."""
    _write(ctx, "PUT", name, _json(value), ack, timeout, if_match)


@docs.command(cls=Verb)
def patch(
    ctx: typer.Context, name: Name, value: Json, ack: Ack = None, timeout: Timeout = None, if_match: IfMatch = None
) -> None:
    """Changes a document by a JSON Merge Patch. Members are set, null removes one."""
    _write(ctx, "PATCH", name, _json(value), ack, timeout, if_match)


@docs.command(cls=Verb)
def delete(ctx: typer.Context, name: Name, ack: Ack = None, timeout: Timeout = None, if_match: IfMatch = None) -> None:
    """Deletes a document, here and on every node."""
    _write(ctx, "DELETE", name, None, ack, timeout, if_match)


def _write(
    ctx: typer.Context,
    method: str,
    name: str,
    body: bytes | None,
    ack: str | None,
    timeout: float | None,
    if_match: str | None,
) -> None:
    query = {"ack": ack, "timeout": None if timeout is None else f"{timeout:f}"}
    if ack is not None and not _ACK.fullmatch(ack):
        raise Stop(Exit.USAGE, f"--ack is {ack!r}; it is applied, durable or replicated:K, as in --ack replicated:2")
    given = urlencode({key: value for key, value in query.items() if value is not None})
    answer = daemon(ctx).ask(
        method,
        _route(name) + (f"?{given}" if given else ""),
        body=body,
        headers={} if if_match is None else {"If-Match": _etag(if_match)},
        timeout=(_DEFAULT_WAIT if timeout is None else timeout) + TIMEOUT,
    )
    reply(ctx, answer, lambda answer: _done(name, answer))


def _route(name: str) -> str:
    from peatd.names import parse_document_name

    return f"/documents/{parse_document_name(name)}"


def _etag(text: str) -> str:
    """As HTTP has it: a shell easily eats the quotes."""
    if not text or not text.isascii() or not text.isprintable():
        raise Stop(Exit.USAGE, "--if-match is not a version; `peat docs get --etag` tells a document's version")
    return text if text == "*" or '"' in text else f'"{text}"'


def _json(value: str) -> bytes:
    """The argument, or what stdin holds, once it is known to be JSON: a shell easily eats its quotes too."""
    text = _read_stdin() if value == _STDIN else value.encode("utf-8", "surrogateescape")
    try:
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        where, hint = ("stdin", "write") if value == _STDIN else ("the argument", "quote it for the shell, as in")
        raise Stop(Exit.USAGE, f"""{where} is not a JSON object ({exc}); {hint} '{{"title": "x"}}'""") from exc
    return text


def _read_stdin() -> bytes:
    if sys.stdin is None:
        raise Stop(Exit.USAGE, "stdin is closed; write the JSON into it, or as the argument")
    return sys.stdin.buffer.read()


def _document(answer: Answer) -> str:
    found = answer.parse(_Document)
    if found.roots:
        names = ", ".join(sorted(found.roots))
        render.note(f"the document has other roots too: {names}; --json shows them")
    return render.pretty(found.document)


def _row(listing: _Listing) -> tuple[str, ...]:
    size = render.size(listing.size_bytes) if listing.held else "elsewhere"
    return f"{listing.collection}/{listing.id}", size, str(listing.incarnation)


def _done(name: str, answer: Answer) -> str:
    if not answer.body:
        return f"deleted {name}"
    found = answer.parse(_Written)
    verb = "created" if answer.status == _CREATED else "changed"
    return f"{verb} {name}, incarnation {found.incarnation}, {found.ack}"
