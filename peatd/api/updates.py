"""Documents as raw Yjs updates: what a copy lacks, and what it has that we lack."""

from quart_trio import QuartTrio
from quart_trio.wrappers import TrioResponse

from peatd.api.access import writer
from peatd.api.answers import bytes_answer
from peatd.api.decode import parse_state_vector, parse_wait
from peatd.api.documents import PATH, acknowledge, make_room, read_body, read_query
from peatd.api.refusal import bad_request
from peatd.errors import MalformedUpdate
from peatd.library import Library
from peatd.names import document_name


def add_update_routes(app: QuartTrio, library: Library) -> None:
    """`/documents/{collection}/{id}/updates`."""

    async def read_updates(collection: str, document_id: str) -> TrioResponse:
        name = document_name(collection, document_id)
        state_vector = parse_state_vector(read_query("sv").get("sv"))
        await make_room(library, name)
        try:
            return bytes_answer(await library.diff(name, state_vector))
        except MalformedUpdate as exc:
            hint = "send what Y.encodeStateVector makes, in base64url, or no sv for everything"
            raise bad_request(f"sv is not a state vector: {exc}", hint) from exc

    async def post_update(collection: str, document_id: str) -> TrioResponse:
        name = document_name(collection, document_id)
        wait = parse_wait(read_query("ack", "timeout"))
        return await acknowledge(library, name, await library.apply(name, await read_body(), origin=writer()), wait)

    app.add_url_rule(f"{PATH}/updates", view_func=read_updates)
    app.add_url_rule(f"{PATH}/updates", view_func=post_update, methods=["POST"])
