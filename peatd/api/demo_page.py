"""`/demo`: a page with a small editor, which connects to nodes as any Yjs client does.

It is open to everyone, like a probe: it holds nothing but the addresses of the nodes' listeners for Yjs clients, which
let nobody in without a token (but programs of this machine on loopback). The policy that it comes with lets it load
nothing from elsewhere and connect to nobody else.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

import msgspec
from msgspec import UNSET, UnsetType
from quart import request
from quart_trio import QuartTrio
from quart_trio.wrappers import TrioResponse

from peatd.api.answers import json_answer
from peatd.api.refusal import Refusal
from peatd.api.views import Mesh
from peatd.errors import InvalidName
from peatd.hosts import host_and_port
from peatd.names import Address
from peatd.page import read_page
from peatd.settings.values import DemoPage

ENDPOINTS = frozenset({"demo", "demo_page", "demo_file", "demo_nodes"})

_FOR_EVER = "public, max-age=31536000, immutable"
"""RFC 8246: a year, and no question in between. The names of the files change with their content."""


class DemoLink(msgspec.Struct, frozen=True):
    to: str
    rtt_ms: float | None


class DemoNode(msgspec.Struct, frozen=True):
    """A node that the page may connect to. Whether it runs and whom it is linked to, only `peatd --demo` knows.

    Attributes:
        clients: where it listens for Yjs clients, as `HOST:PORT`.
    """

    name: str
    clients: str
    running: bool | UnsetType = UNSET
    links: Sequence[DemoLink] | UnsetType = UNSET


class DemoBody(msgspec.Struct, frozen=True):
    """`is_demo`: nodes can be killed and started (demo_control.py)."""

    nodes: Sequence[DemoNode]
    is_demo: bool


Nodes = Callable[[], Awaitable[Sequence[DemoNode]]]


def add_demo_page(app: QuartTrio, nodes: Nodes, *, is_demo: bool) -> None:
    """`/demo/`, what it loads from there, and `/demo/nodes.json`."""
    page = read_page()

    async def to_page() -> TrioResponse:
        # Relative, so that it holds behind any prefix.
        return TrioResponse(b"", status=HTTPStatus.PERMANENT_REDIRECT, headers={"Location": "demo/"})

    async def show() -> TrioResponse:
        nonce = secrets.token_urlsafe(16)
        headers = {
            "Content-Security-Policy": _policy(nonce, [node.clients for node in await nodes()]),
            "Referrer-Policy": "no-referrer",
        }
        return TrioResponse(page.html(nonce), headers=headers, content_type="text/html; charset=utf-8")

    async def file(name: str) -> TrioResponse:
        found = page.files.get(name)
        if found is None:
            raise Refusal(HTTPStatus.NOT_FOUND, "not_found", "the page has no such file", "load the page again")
        headers = {"Cache-Control": _FOR_EVER, "Content-Security-Policy": "default-src 'none'"}
        return TrioResponse(found.content, headers=headers, content_type=found.media_type)

    async def tell_nodes() -> TrioResponse:
        return json_answer(DemoBody(await nodes(), is_demo))

    app.add_url_rule("/demo", "demo", to_page)
    app.add_url_rule("/demo/", "demo_page", show)
    app.add_url_rule("/demo/<name>", "demo_file", file)
    app.add_url_rule("/demo/nodes.json", "demo_nodes", tell_nodes)


def listed_nodes(mesh: Mesh, page: DemoPage) -> Nodes:
    """The nodes that the setting lists; with none, this one: on the host that the page was asked of."""

    async def nodes() -> Sequence[DemoNode]:
        if page.listed:
            return [DemoNode(peer.name or str(peer.address), str(peer.address)) for peer in page.listed]
        bound = mesh.addresses()["clients"]
        assert bound is not None, "config.py refuses a page that has nothing to connect to"
        return [DemoNode(mesh.node_id, str(_as_asked(Address.parse(bound), request.headers.get("Host", ""))))]

    return nodes


def _as_asked(bound: Address, authority: str) -> Address:
    """This listener on the host that the browser knows us by: it may be any text, and goes into a header."""
    asked = host_and_port(authority, default_port=80)
    try:
        return Address.parse(str(Address(asked[0], bound.port))) if asked else bound
    except InvalidName:
        return bound


def _policy(nonce: str, listeners: Sequence[str]) -> str:
    # `ws:` is also `wss:` (CSP 3 §6.7.2.8), for a page that came through TLS.
    sockets = " ".join(f"ws://{listener}" for listener in listeners)
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            f"style-src 'self' 'nonce-{nonce}'",
            "img-src 'self'",
            f"connect-src 'self' {sockets}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
