"""The HTTP API: every route of `/api/v1`, as one app. Start reading here.

probes.py, metrics.py, nodes.py, custody.py, documents.py, updates.py, quarantine.py and events.py answer · access.py
lets in · decode.py parses · errors.py refuses · views.py has the shapes · server.py serves it.
"""

from functools import partial

import structlog
from quart import request
from quart.wrappers import Response
from quart_trio import QuartTrio

from peatd.api import demo_page, metrics, probes
from peatd.api.access import Locks, guard_routes
from peatd.api.custody import add_custody_routes
from peatd.api.documents import add_document_routes
from peatd.api.errors import answer_errors
from peatd.api.events import add_event_routes
from peatd.api.nodes import add_node_routes
from peatd.api.quarantine import add_quarantine_route
from peatd.api.updates import add_update_routes
from peatd.api.views import Mesh
from peatd.settings.values import DemoPage

log = structlog.get_logger("peatd.api")

MAX_BODY_BYTES = 1024 * 1024
"""Of JSON and of a raw update: the same 1 MiB that an update from a client has."""

BODY_TIMEOUT = 30
"""Seconds for a whole body: 1 MiB at 35 KB/s. A body that drips in longer is 408."""


NO_DEMO = DemoPage(is_on=False)


def create_app(mesh: Mesh, locks: Locks, demo: DemoPage = NO_DEMO) -> QuartTrio:
    """The app that answers for this node, to those who may ask (access.py)."""
    app = QuartTrio("peatd.api", static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.config["BODY_TIMEOUT"] = BODY_TIMEOUT
    # The server's own deadline on each piece of a response stands in: 60 s for a whole one would cut streams short.
    app.config["RESPONSE_TIMEOUT"] = None
    app.url_map.merge_slashes = False  # else `//` is a redirect
    answer_errors(app)
    guard_routes(app, locks, open_endpoints=probes.ENDPOINTS | metrics.ENDPOINTS | demo_page.ENDPOINTS)
    probes.add_probes(app, mesh)
    metrics.add_metrics(app, mesh)
    add_node_routes(app, mesh)
    add_custody_routes(app, mesh.custody)
    add_document_routes(app, mesh.documents)
    add_update_routes(app, mesh.documents)
    add_quarantine_route(app, mesh.documents)
    add_event_routes(app, mesh.events, mesh.documents)
    if demo.is_on:
        demo_page.add_demo_page(app, demo_page.listed_nodes(mesh, demo), is_demo=False)
    app.after_request(partial(_finish, mesh))
    return app


async def _finish(mesh: Mesh, response: Response) -> Response:
    """Every answer is of this moment, unless its route says otherwise, and is what it says it is.

    A node that is leaving ends each connection with it: the next one goes, through whatever balances, to a node that
    stays (RFC 9112 §9.6).
    """
    if mesh.is_leaving:
        response.headers["Connection"] = "close"
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    log.debug("api.request", method=request.method, path=request.path, status=response.status_code)
    return response
