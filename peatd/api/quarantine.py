"""What was set aside because the engine did not survive it, and who brought it."""

from datetime import UTC, datetime

from quart_trio import QuartTrio
from quart_trio.wrappers import TrioResponse

from peatd.api.answers import json_answer
from peatd.api.documents import read_query
from peatd.api.views import QuarantineView, SetAsideView
from peatd.library import Library, SetAside


def add_quarantine_route(app: QuartTrio, library: Library) -> None:
    """`/quarantine`."""

    async def quarantine() -> TrioResponse:
        read_query()
        updates = [_view(aside) for aside in await library.quarantine()]
        return json_answer(QuarantineView(updates, len(updates)))

    app.add_url_rule("/api/v1/quarantine", view_func=quarantine)


def _view(aside: SetAside) -> SetAsideView:
    collection, _, document_id = aside.name.partition("/")
    time = datetime.fromtimestamp(aside.time, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return SetAsideView(
        collection,
        document_id,
        aside.incarnation,
        aside.origin,
        aside.reason,
        time,
        aside.sha256,
        aside.size_bytes,
        aside.times,
    )
