"""What `peatd --demo` serves: the page, and what it can do with the three nodes. For this machine only.

Nobody needs a token here, as nobody needs one for the nodes' own listeners on loopback. A page of another origin, and a
name that somebody points at 127.0.0.1, are refused as by the API (access.py).
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Protocol
from urllib.parse import quote

import msgspec
from quart import request
from quart.wrappers import Response
from quart_trio import QuartTrio
from quart_trio.wrappers import TrioResponse

from peatd.api.access import Credentials, Entrance, Locks, admit
from peatd.api.answers import empty_answer, json_answer
from peatd.api.demo_page import DemoNode, add_demo_page
from peatd.api.errors import answer_errors
from peatd.api.refusal import Refusal

_LOOPBACK = Entrance(private=True, loopback=True)
"""As if by a private socket: whoever is on this machine may do what can be done here."""
_NO_LOCKS = Locks("", tuple)


class Told(msgspec.Struct, frozen=True):
    """What a node has answered, as a whole: a document that is not there yet is no failure of the one who asks."""

    status: int
    body: msgspec.Raw


class Stage(Protocol):
    """The nodes of a demo, by name."""

    @property
    def names(self) -> Sequence[str]: ...

    async def look(self) -> Sequence[DemoNode]:
        """All of them, as they are now."""

    async def ask(self, name: str, path: str) -> tuple[int, bytes]:
        """What a node's API answers to GET: status and body; 503 while it does not answer."""

    async def kill(self, name: str) -> None:
        """Ends a node at once, as a power cut would."""

    async def start(self, name: str) -> None:
        """Starts it again, with what it had on disk."""


def create_demo_app(stage: Stage) -> QuartTrio:
    """The page and its control over the nodes."""
    app = QuartTrio("peatd.api", static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = 0
    app.url_map.merge_slashes = False
    answer_errors(app)
    app.before_request(_look)
    app.after_request(_finish)
    add_demo_page(app, stage.look, is_demo=True)
    _add_control(app, stage)
    return app


def _add_control(app: QuartTrio, stage: Stage) -> None:
    async def to_page() -> TrioResponse:
        return TrioResponse(b"", status=HTTPStatus.TEMPORARY_REDIRECT, headers={"Location": "/demo/"})

    async def document(node: str, collection: str, document_id: str) -> TrioResponse:
        _check(stage, node)
        name = "/".join(quote(part, safe="") for part in (collection, document_id))
        status, body = await stage.ask(node, f"/api/v1/documents/{name}")
        return json_answer(Told(status, msgspec.Raw(body)))

    async def kill(node: str) -> TrioResponse:
        _check(stage, node)
        await stage.kill(node)
        return empty_answer()

    async def start(node: str) -> TrioResponse:
        _check(stage, node)
        await stage.start(node)
        return empty_answer()

    app.add_url_rule("/", view_func=to_page)
    app.add_url_rule("/demo/nodes/<node>/documents/<collection>/<document_id>", view_func=document)
    app.add_url_rule("/demo/nodes/<node>/kill", view_func=kill, methods=["POST"])
    app.add_url_rule("/demo/nodes/<node>/start", view_func=start, methods=["POST"])


def _check(stage: Stage, node: str) -> None:
    if node not in stage.names:
        raise Refusal(
            HTTPStatus.NOT_FOUND, "not_found", f"no node is called {node[:80]!r}", f"there are {', '.join(stage.names)}"
        )


async def _look() -> None:
    headers = request.headers
    admit(Credentials(headers.get("Host"), headers.get("Origin"), None), _LOOPBACK, _NO_LOCKS, now=0)


async def _finish(response: Response) -> Response:
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
