"""A node as `peat` sees it: its HTTP API, on a free TCP port and a unix socket, with what a test puts into it.

It speaks real HTTP over real sockets and keeps the rules of the API that a command line meets: shapes, ETags,
acknowledgements, the token. `test_peat_acceptance.py` holds it against the real one.
"""

import json
import queue
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fakes.node_custody import Custody

NAME, HIGHEST_RUNG = "peat-mesh-0", 1
CHECKS = ("identity", "store", "transport", "discovery", "drain", "partition")


@dataclass
class Document:
    incarnation: int
    version: int
    value: dict[str, Any]
    roots: dict[str, Any] = field(default_factory=dict)


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class FakeNode:
    """What the API tells; tests change it at will.

    Attributes:
        failing: check → message, of those that are not ready.
        token: what TCP callers must bring; None lets everyone in.
        canned: path → (status, body), for answers that no sane node gives.
        requests: all that came, in order.
        ready_after: that many questions are answered with "not ready" first.
        custody: what it says of secrets and revoked keys.
        streams: what each reader of events in turn is sent; then its stream ends. That of the last one stays open, and
            tells of writes.
        released: only while it is set, streams are sent more than where they begin.
    """

    failing: dict[str, str] = field(default_factory=dict)
    ready_after: int = 0
    peers: list[dict[str, Any]] = field(default_factory=list)
    links: list[dict[str, Any]] = field(default_factory=list)
    members: list[dict[str, Any]] = field(default_factory=list)
    documents: dict[str, Document] = field(default_factory=dict)
    custody: Custody = field(default_factory=Custody)
    token: str | None = None
    canned: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    streams: list[bytes] = field(default_factory=list)
    url: str = ""
    socket: str = ""
    _expected: dict[int, threading.Event] = field(default_factory=dict)
    followers: list["queue.SimpleQueue[tuple[str, bytes]]"] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def expect_requests(self, count: int) -> threading.Event:
        """Is set once so many requests came."""
        return self._expected.setdefault(count, threading.Event())

    def tell(self, change: str, name: str, document: Document) -> None:
        """Tells those who follow of a write."""
        collection, _, document_id = name.partition("/")
        etag = None if change == "deleted" else _etag(document)
        told = {"type": change, "collection": collection, "id": document_id, "incarnation": document.incarnation}
        data = json.dumps(told | {"etag": etag, "origin": None}).encode()
        for follower in self.followers:
            block = b"event: document\nid: 00ff00ff-%d\ndata: %s\n\n" % (100 + len(self.requests), data)
            follower.put((name, block))

    def note(self, request: Request) -> None:
        self.requests.append(request)
        if (expected := self._expected.get(len(self.requests))) is not None:
            expected.set()


def peer(node_id: str, **changes: Any) -> dict[str, Any]:
    """A linked peer, with all fields that the API has."""
    return {
        "id": node_id,
        "device_id": "dd8bee9a97c7384d26559b05dd8bb87e",
        "connected": True,
        "state": "linked",
        "rtt_ms": 0.42,
        "source": "kubernetes",
        "addresses": ["10.0.0.7:11204"],
        "relay_url": None,
        "metadata": {},
        "last_seen_secs": 0.1,
        "last_sync_secs": 3.0,
        "owed_documents": 0,
        "error": None,
        "secrets": None,
        "revoked": False,
        "via": "direct",
    } | changes


@contextmanager
def serve(node: FakeNode, directory: Path) -> Iterator[FakeNode]:
    """Serves `node` at `node.url` and at `directory/api.sock` until the block ends."""
    node.socket = str(directory / "api.sock")
    node.released.set()
    with _tcp(node) as tcp, _UnixServer(node.socket, _handler(node, trusts=True)) as unix:
        node.url = f"http://127.0.0.1:{tcp.server_port}"
        threads = [threading.Thread(target=server.serve_forever, args=(0.01,)) for server in (tcp, unix)]
        for thread in threads:
            thread.start()
        try:
            yield node
        finally:
            node.released.set()
            for follower in node.followers:
                follower.put(("", b""))
            for server in (tcp, unix):
                server.shutdown()
            for thread in threads:
                thread.join()


def _tcp(node: FakeNode) -> ThreadingHTTPServer:
    return ThreadingHTTPServer(("127.0.0.1", 0), _handler(node, trusts=False))


class _UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


class _Refusal(Exception):
    def __init__(self, status: int, message: str, **beside: Any) -> None:
        self.status = status
        self.body = {"error": {"code": f"e{status}", "message": message, "hint": "as the API says"}} | beside


def _handler(node: FakeNode, *, trusts: bool) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            with suppress(ConnectionError):  # a client may be interrupted
                super().handle()

        def log_message(self, *_args: object) -> None: ...

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            node.note(Request(self.command, self.path, dict(self.headers), body))
            url = urlsplit(self.path)
            if url.path in node.canned:
                return self.send(*node.canned[url.path])
            try:
                self.authorize(url.path)
                if url.path == "/api/v1/events":
                    return self.stream()
                route = url.path.removeprefix("/api/v1/")
                status, answer, etag = _answer(node, self.command, route, dict(parse_qsl(url.query)), body, self.etag())
            except _Refusal as refusal:
                return self.send(refusal.status, json.dumps(refusal.body).encode())
            return self.send(status, b"" if answer is None else json.dumps(answer).encode(), etag)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

        def authorize(self, path: str) -> None:
            known = trusts or node.token is None or path == "/api/v1/ready"
            if not known and self.headers.get("Authorization") != f"Bearer {node.token}":
                raise _Refusal(401, "the token is missing or wrong")

        def stream(self) -> None:
            """Events, until there are no more of them; the last reader's stream stays open till the end."""
            mine: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
            is_last = len(node.streams) <= 1
            if is_last:  # before it hears from us: what it then does is not to be missed
                node.followers.append(mine)
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.send_piece(b"retry: 1000\n:\nid: 00ff00ff-1\n\n")
            if node.streams:
                node.released.wait()
                self.send_piece(node.streams.pop(0))
            if is_last:
                self.follow(mine)
            self.wfile.write(b"0\r\n\r\n")

        def follow(self, mine: "queue.SimpleQueue[tuple[str, bytes]]") -> None:
            wanted = dict(parse_qsl(urlsplit(self.path).query))
            while (told := mine.get())[1]:
                if told[0] == wanted.get("document", told[0]) and told[0].startswith(wanted.get("collection", "")):
                    self.send_piece(told[1])

        def send_piece(self, octets: bytes) -> None:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(octets), octets))

        def etag(self) -> str | None:
            return self.headers.get("If-Match")

        def send(self, status: int, body: bytes, etag: str | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if etag is not None:
                self.send_header("ETag", etag)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if body:  # of nothing the client waits for no end: it may be gone by now
                self.wfile.write(body)

    return Handler


Answered = tuple[int, dict[str, Any] | None, str | None]


def _answer(
    node: FakeNode, method: str, route: str, query: dict[str, str], body: bytes, if_match: str | None
) -> Answered:
    match route.split("/"):
        case ["ready"]:
            return _ready(node)
        case ["node"]:
            return 200, _node(node), None
        case ["peers"]:
            return 200, {"peers": node.peers, "count": len(node.peers)}, None
        case ["secrets"]:
            return *node.custody.secrets(method, body), None
        case ["revocations"]:
            return *node.custody.revocations(method, body), None
        case ["topology"]:
            found = {"peer_count": len(node.peers), "role": "member", "hierarchy_level": 0}
            found |= {"links": node.links, "members": node.members}
            return 200, found, None
        case ["documents", *collection] if len(collection) < 2:
            return 200, _listing(node, collection, query), None
        case ["documents", collection, document_id]:
            return _document(node, method, f"{collection}/{document_id}", query, body, if_match)
    raise _Refusal(404, "no such route")


def _ready(node: FakeNode) -> Answered:
    asked = sum(request.path == "/api/v1/ready" for request in node.requests)
    failing = {"store": "opening"} if asked <= node.ready_after else node.failing
    checks = [{"name": name, "ready": name not in failing, "message": failing.get(name)} for name in CHECKS]
    return (503 if failing else 200), {"ready": not failing, "node_id": NAME, "checks": checks}, None


def _node(node: FakeNode) -> dict[str, Any]:
    return {
        "node_id": NAME,
        "device_id": "dd8bee9a97c7384d26559b05dd8bb87e",
        "public_key": "4d28a621fd5e29f728db5bd0a30b04d60c2cbcd9168c45a14afdfd652740dbb9",
        "formation": "peat",
        "uptime_secs": 3725,
        "version": "0.1.0",
        "addresses": {"api": "127.0.0.1:8081", "mesh": "0.0.0.0:11204", "clients": None},
        "documents": len(node.documents),
        "digest": f"{len(node.documents):032x}",
        "secrets": list(node.custody.formation.fingerprints),
        "relays": [{"url": "https://relay.example.org", "state": "backing-off", "since_secs": 3.0, "error": "refused"}],
    }


def _listing(node: FakeNode, collection: list[str], query: dict[str, str]) -> dict[str, Any]:
    prefix = f"{collection[0]}/" if collection else ""
    names = sorted(name for name in node.documents if name.startswith(prefix) and name > query.get("after", ""))
    limit = int(query.get("limit", "100"))
    found: dict[str, Any] = {"documents": [_listed(node, name) for name in names[:limit]]}
    return found | ({"next": names[limit - 1]} if len(names) > limit else {})


def _listed(node: FakeNode, name: str) -> dict[str, Any]:
    collection, _, document_id = name.partition("/")
    incarnation = node.documents[name].incarnation
    return {"name": name, "collection": collection, "id": document_id, "incarnation": incarnation, "size_bytes": 1234}


def _document(
    node: FakeNode, method: str, name: str, query: dict[str, str], body: bytes, if_match: str | None
) -> Answered:
    found = node.documents.get(name)
    if found is None and method in ("GET", "DELETE"):
        raise _Refusal(404, f"there is no document {name}")
    if if_match not in (None, "*", _etag(found)):
        raise _Refusal(412, f"{name} is at another version")
    collection, _, document_id = name.partition("/")
    if method == "GET":
        assert found is not None
        read = {"collection": collection, "id": document_id, "incarnation": found.incarnation, "document": found.value}
        return 200, read | ({"roots": found.roots} if found.roots else {}), _etag(found)
    if method == "DELETE":
        del node.documents[name]
        node.tell("deleted", name, found)
        _acknowledge(query)
        return 204, None, None
    changed = _changed(found, json.loads(body), merge=method == "PATCH")
    node.documents[name] = changed
    node.tell("changed" if found else "created", name, changed)
    ack = _acknowledge(query)
    written = {"collection": collection, "id": document_id, "incarnation": changed.incarnation, "ack": ack}
    return (200 if found else 201), written, _etag(changed)


def _changed(found: Document | None, value: dict[str, Any], *, merge: bool) -> Document:
    if found is None:
        return Document(1, 1, value)
    merged = {key: item for key, item in (found.value | value).items() if item is not None}
    return Document(found.incarnation, found.version + 1, merged if merge else value, found.roots)


def _acknowledge(query: dict[str, str]) -> str:
    ack = query.get("ack", "durable")
    if ack.startswith("replicated:") and int(ack.removeprefix("replicated:")) > HIGHEST_RUNG:
        raise _Refusal(504, f"{ack} was not reached within {query.get('timeout', '10')} s", reached="durable")
    return ack


def _etag(document: Document | None) -> str:
    return '"none"' if document is None else f'"v{document.version}"'
