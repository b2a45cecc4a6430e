"""Is it alive, is it ready? Asked by kubelets every few seconds, without credentials."""

from http import HTTPStatus

from quart_trio import QuartTrio
from quart_trio.wrappers import TrioResponse

from peatd.api.answers import json_answer
from peatd.api.views import CheckView, HealthView, Mesh, ReadyView

ENDPOINTS = frozenset({"health", "ready"})

_PREFIXES = ("", "/api/v1")


def add_probes(app: QuartTrio, mesh: Mesh) -> None:
    """`/health` = `/livez` and `/ready` = `/readyz`, at the root and under `/api/v1`."""

    async def health() -> TrioResponse:
        stuck = mesh.health()
        if stuck is None:
            return json_answer(HealthView("healthy", mesh.node_id))
        return json_answer(HealthView("unhealthy", mesh.node_id, stuck), HTTPStatus.SERVICE_UNAVAILABLE)

    async def ready() -> TrioResponse:
        report = mesh.readiness()
        checks = [CheckView(check.name, check.ready, check.message) for check in report.checks]
        status = HTTPStatus.OK if report.ready else HTTPStatus.SERVICE_UNAVAILABLE
        return json_answer(ReadyView(report.ready, mesh.node_id, checks), status)

    for prefix in _PREFIXES:
        for path in ("/health", "/livez"):
            app.add_url_rule(prefix + path, "health", health)
        for path in ("/ready", "/readyz"):
            app.add_url_rule(prefix + path, "ready", ready)
