"""Documents as JSON: list, read, put, patch, delete."""

from http import HTTPStatus
from typing import Any

from msgspec import UNSET, Raw
from quart import request
from quart_trio import QuartTrio
from quart_trio.wrappers import TrioResponse

from peatd.api.access import writer
from peatd.api.answers import empty_answer, json_answer
from peatd.api.decode import (
    Query,
    Wait,
    parse_after,
    parse_if_match,
    parse_if_none_match,
    parse_limit,
    parse_object,
    parse_wait,
    require_content_type,
)
from peatd.api.guard import HOLDING
from peatd.api.refusal import bad_request
from peatd.api.views import DocumentBody, ListingsView, ListingView, WrittenView
from peatd.byte_budget import Holding
from peatd.library import DocumentListing, IfMatch, Library, Written
from peatd.names import DocumentName, document_name

PATH = "/api/v1/documents/<collection>/<document_id>"


def add_document_routes(app: QuartTrio, library: Library) -> None:
    """`/documents`, `/documents/{collection}` and `/documents/{collection}/{id}`."""

    async def list_documents(collection: str | None = None) -> TrioResponse:
        return _list(library, collection)

    async def read_document(collection: str, document_id: str) -> TrioResponse:
        name = document_name(collection, document_id)
        read_query()
        await make_room(library, name)
        view = await library.read(name)
        roots = UNSET if view.roots_json == b"{}" else Raw(view.roots_json)
        body = DocumentBody(collection, document_id, view.incarnation, Raw(view.document_json), roots)
        return json_answer(body, headers={"ETag": quote(view.etag)})

    async def put_document(collection: str, document_id: str) -> TrioResponse:
        name, wait, if_match = _write_request(collection, document_id)
        value = await _read_object("application/json")
        return await acknowledge(
            library, name, await library.put(name, value, if_match=if_match, origin=writer()), wait
        )

    async def patch_document(collection: str, document_id: str) -> TrioResponse:
        name, wait, if_match = _write_request(collection, document_id)
        patch = await _read_object("application/merge-patch+json", "application/json")
        return await acknowledge(
            library, name, await library.patch(name, patch, if_match=if_match, origin=writer()), wait
        )

    async def delete_document(collection: str, document_id: str) -> TrioResponse:
        name, wait, if_match = _write_request(collection, document_id)
        await library.acknowledged(await library.delete(name, if_match=if_match), wait.ack, wait.timeout)
        return empty_answer()

    app.add_url_rule("/api/v1/documents", view_func=list_documents)
    app.add_url_rule("/api/v1/documents/<collection>", view_func=list_documents)
    app.add_url_rule(PATH, view_func=read_document)
    app.add_url_rule(PATH, view_func=put_document, methods=["PUT"])
    app.add_url_rule(PATH, view_func=patch_document, methods=["PATCH"])
    app.add_url_rule(PATH, view_func=delete_document, methods=["DELETE"])


def read_query(*known: str) -> Query:
    """The query string of the request that is being answered."""
    return Query(list(request.args.items(multi=True)), known)


_VIEW_EXPANSION = 10
"""What a document takes for each byte of its log: its JSON, as the engine's answer, as ours and as what we send."""


async def make_room(library: Library, name: DocumentName) -> None:
    """Waits until there is memory for what is read of the document, until the answer has gone.

    Raises:
        Unavailable: if there is none in time.
    """
    holding: Holding | None = request.scope.get("state", {}).get(HOLDING)
    if holding is not None:
        await holding.take(_VIEW_EXPANSION * library.size_bytes(name))


async def read_body() -> bytes:
    """The body of the request that is being answered. 413 as soon as it is, or says it will be, too large."""
    return await request.get_data(cache=True, as_text=False, parse_form_data=False)


def quote(etag: str) -> str:
    """A strong validator, as it stands in `ETag`."""
    return f'"{etag}"'


async def acknowledge(library: Library, name: DocumentName, written: Written, wait: Wait) -> TrioResponse:
    """Answers a change once it has reached the rung that was asked for: 201 when it began a document's life."""
    reached = await library.acknowledged(written, wait.ack, wait.timeout)
    collection, _, document_id = name.partition("/")
    headers = {"ETag": quote(written.etag)}
    if written.created:
        headers["Location"] = f"/api/v1/documents/{name}"
    status = HTTPStatus.CREATED if written.created else HTTPStatus.OK
    return json_answer(WrittenView(collection, document_id, written.incarnation, str(reached)), status, headers)


def _write_request(collection: str, document_id: str) -> tuple[DocumentName, Wait, IfMatch | None]:
    name = document_name(collection, document_id)
    return name, parse_wait(read_query("ack", "timeout")), _condition()


def _condition() -> IfMatch | None:
    if_match = parse_if_match(request.headers.getlist("If-Match"))
    if_none_match = parse_if_none_match(request.headers.getlist("If-None-Match"))
    if if_match and if_none_match:
        raise bad_request(
            "If-Match and If-None-Match", "one says that there is a document, the other that there is none"
        )
    return if_match or if_none_match


async def _read_object(*content_types: str) -> dict[str, Any]:
    require_content_type(request.content_type, content_types)
    return parse_object(await read_body())


def _list(library: Library, collection: str | None) -> TrioResponse:
    if collection is not None:
        document_name(collection, "any")  # refuses what is no name
    query = read_query("limit", "after")
    limit = parse_limit(query.get("limit"))
    # One more than asked for: it tells whether there is a rest.
    found = library.list(collection, after=parse_after(query.get("after")), limit=limit + 1)
    listed = found[:limit]
    rest = str(listed[-1].name) if len(found) > limit else UNSET
    return json_answer(ListingsView([_listing_view(listing) for listing in listed], rest))


def _listing_view(listing: DocumentListing) -> ListingView:
    collection, _, document_id = listing.name.partition("/")
    held = UNSET if listing.is_held else False
    return ListingView(listing.name, collection, document_id, listing.incarnation, listing.size_bytes, held)
