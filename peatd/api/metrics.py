"""`/metrics`: what the node measures, for Prometheus. Asked without credentials, like a probe: numbers and node names,
never a document's name or content."""

import time
from collections.abc import Sequence

from quart import g, request
from quart.wrappers import Response
from quart_trio import QuartTrio
from quart_trio.wrappers import TrioResponse

from peatd.api.views import Mesh
from peatd.errors import Unavailable
from peatd.exposition import exposition
from peatd.measures import Durations, Histogram, Kind, Measure
from peatd.threads import run_in_thread

ENDPOINTS = frozenset({"metrics"})

_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds. A probe takes 1 ms, a durable write 3; the longest is the time that a client may ask us to wait."""


class _Requests:
    """The requests that were answered."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        self._durations = Histogram(_BOUNDS)

    def count(self, response: Response) -> None:
        key = (request.method if request.method in _METHODS else "other", str(response.status_code))
        self._counts[key] = self._counts.get(key, 0) + 1
        begun: float | None = g.get("begun")
        if begun is not None:
            self._durations.observe(time.perf_counter() - begun)

    def measures(self) -> Sequence[Measure | Durations]:
        return [
            Measure(
                "peat_http_requests_total",
                Kind.COUNTER,
                "Requests to the API that were answered.",
                list(self._counts.items()),
                ("method", "status"),
            ),
            Durations("peat_http_request_duration_seconds", "Until the answer was made.", self._durations),
        ]


_METHODS = frozenset({"GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS"})
"""A client can make up others, and a label must not grow with what clients make up."""


def add_metrics(app: QuartTrio, mesh: Mesh) -> None:
    """`/metrics` and `/api/v1/metrics`, and the counting of requests."""
    requests = _Requests()

    async def begin() -> None:
        g.begun = time.perf_counter()

    async def count(response: Response) -> Response:
        requests.count(response)
        return response

    async def metrics() -> TrioResponse:
        measures = [*mesh.measures(), *requests.measures()]
        accept = request.headers.get("Accept", "")
        # A thread: the first call imports the library, and counting a process's files reads a directory.
        try:
            body, content_type = await run_in_thread(exposition, measures, accept)
        except (OSError, ImportError) as exc:
            raise Unavailable(f"the metrics cannot be made: {exc}") from exc
        return TrioResponse(body, content_type=content_type)

    app.before_request(begin)
    app.after_request(count)
    for prefix in ("", "/api/v1"):
        app.add_url_rule(f"{prefix}/metrics", "metrics", metrics)
