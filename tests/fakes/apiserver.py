"""A fake Kubernetes API server that lists and watches EndpointSlices as the real one does, faults included.

Real sockets, HTTP/1.1 with chunks, TLS if it is given a context, a thread per connection. It stops and starts again on
its port with the objects and the history it had, as a real one does over its etcd.
"""

import contextlib
import copy
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Self

import trio
from fakes.apiserver_wire import (
    CHUNKED_HEADERS,
    END,
    CutHow,
    Fault,
    Hang,
    HangUp,
    Refuse,
    Request,
    Say,
    chunk,
    cut,
    event_line,
    read_request,
    status,
)
from fakes.endpointslices import Gone, Json, SliceStore
from fakes.ports import free_port

PATIENCE = 20.0
"""Seconds after which a test that waits for the server has failed."""


@dataclass(eq=False)
class Watch:
    """A watch in progress, as its server sees it."""

    request: Request
    connection: socket.socket
    muted: bool = False
    queued: list[bytes] = field(default_factory=list)
    bookmark_due: bool = False
    is_telling: bool = False
    is_cut: bool = False


class FakeApiServer:
    """The server. Everything public may be called from any thread.

    Attributes:
        tokens: bearer tokens it accepts; None accepts everybody.
        verbs: what the role allows.
        split_writes: sends every byte alone.
        hang_tls: accepts connections and does not answer in TLS.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.tokens: set[str] | None = None
        self.verbs = {"list", "watch"}
        self.split_writes = False
        self.hang_tls = False
        self.requests: list[Request] = []
        self.connected = 0
        self._context = context
        self._store = SliceStore()
        self._faults: dict[str, list[Fault]] = {"list": [], "watch": []}
        self._standing: dict[str, Fault] = {}
        self._changed = threading.Condition(threading.RLock())
        self._connections: set[socket.socket] = set()
        self._watches: list[Watch] = []
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listens, on the port it had before if it was stopped."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._spawn(self._accept, self._listener)

    def stop(self, how: CutHow = "fin") -> None:
        """Ends every connection and listens no more."""
        with self._changed:
            listener, self._listener = self._listener, None
            self._cut_watches(how)
            connections = list(self._connections)
            self._changed.notify_all()
        if listener is not None:
            # close() alone would not wake the thread in accept().
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for connection in connections:
            cut(connection, "fin")
        for thread in self._threads:
            thread.join(PATIENCE)
        self._threads.clear()

    # What the cluster does.

    def put(self, *slices: Json) -> None:
        with self._changing():
            for one in slices:
                self._store.put(one)

    def delete(self, *names: str, namespace: str = "peat") -> None:
        with self._changing():
            for name in names:
                self._store.delete(name, namespace)

    def slices(self) -> list[Json]:
        """Copies of all there are."""
        with self._changed:
            return copy.deepcopy(list(self._store.objects.values()))

    def compact(self) -> None:
        with self._changing():
            self._store.compact()

    def restore(self, version: int) -> None:
        with self._changing():
            self._store.restore(version)

    # What goes wrong.

    def next(self, verb: str, *faults: Fault) -> None:
        """The next requests of this verb meet these faults, one each."""
        with self._changing():
            self._faults[verb] += faults

    def always(self, verb: str, fault: Fault | None) -> None:
        """Every request of this verb meets this fault, until it is taken back with None."""
        with self._changing():
            if fault is None:
                self._standing.pop(verb, None)
            else:
                self._standing[verb] = fault

    def mute(self) -> None:
        """Watches in progress hear nothing more, not even their end: a half-open connection."""
        with self._changing():
            for watch in self._watches:
                watch.muted = True

    def cut_watches(self, how: CutHow) -> None:
        with self._changing():
            self._cut_watches(how)

    def _cut_watches(self, how: CutHow) -> None:
        for watch in self._watches:
            watch.is_cut = True
            cut(watch.connection, how)

    def say(self, line: bytes) -> None:
        """Sends these bytes to every watch in progress."""
        with self._changing():
            for watch in self._watches:
                watch.queued.append(line)

    def bookmark(self) -> None:
        with self._changing():
            for watch in self._watches:
                watch.bookmark_due = True

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Several things go wrong at once: nothing is answered before the block ends."""
        with self._changing():
            yield

    # What a test waits for.

    def count(self, verb: str) -> int:
        return sum(request.verb == verb for request in self.requests)

    def is_watched(self) -> bool:
        return any(not watch.is_cut for watch in self._watches)

    def all_is_said(self) -> bool:
        """Whether every watch in progress was sent all there is."""
        return not any(watch.queued or watch.bookmark_due or watch.is_telling for watch in self._watches)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits, without a clock, until something that this server does makes the condition true."""
        await trio.to_thread.run_sync(self._wait, condition, abandon_on_cancel=True)

    def _wait(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE), "the server waited in vain"

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        with self._changed:
            yield
            self._changed.notify_all()

    # Connections.

    def _spawn(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._changing():
                self.connected += 1
                self._connections.add(connection)
            self._spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        raw = connection
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.hang_tls:
                self._say_nothing(connection)
                return
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
                with self._changing():
                    self._connections.discard(raw)
                    self._connections.add(connection)
            while self._listener is not None and self._answer(connection):
                pass
        except (OSError, ValueError):  # the client, or stop(), ended it
            pass
        finally:
            with self._changing():
                self._connections -= {raw, connection}
            connection.close()

    def _say_nothing(self, connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    def _answer(self, connection: socket.socket) -> bool:
        """Answers one request; False ends the connection."""
        request = read_request(connection)
        if request is None:
            return False
        with self._changing():
            self.requests.append(request)
            queued = self._faults[request.verb]
            fault = queued.pop(0) if queued else self._standing.get(request.verb)
        match fault:
            case Refuse():
                self._refuse(connection, fault)
                return True
            case HangUp(how):
                cut(connection, how)
                return False
            case Hang():
                self._say_nothing(connection)
                return False
        refusal = self._authorize(request)
        if refusal is not None:
            self._refuse(connection, refusal)
        elif request.verb == "watch":
            self._watch(connection, request, fault)
        else:
            self._list(connection, request, fault)
        return True

    def _authorize(self, request: Request) -> Refuse | None:
        if self.tokens is not None and request.authorization not in {f"Bearer {token}" for token in self.tokens}:
            return Refuse(401, "Unauthorized")
        if request.verb not in self.verbs:
            who = "system:serviceaccount:peat:peat-mesh"
            return Refuse(
                403,
                f'endpointslices.discovery.k8s.io is forbidden: User "{who}" cannot {request.verb} resource'
                ' "endpointslices" in API group "discovery.k8s.io" in the namespace "peat"',
            )
        return None

    def _refuse(self, connection: socket.socket, refuse: Refuse) -> None:
        body = json.dumps(status(refuse.code, refuse.message)).encode()
        headers = f"HTTP/1.1 {refuse.code} Refused\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        if refuse.retry_after is not None:
            headers += f"Retry-After: {refuse.retry_after}\r\n"
        self._send(connection, headers.encode() + b"\r\n" + body)

    def _list(self, connection: socket.socket, request: Request, fault: Say | None) -> None:
        query = request.query
        try:
            with self._changed:
                page = self._store.list(
                    query["namespace"],
                    query.get("labelSelector", ""),
                    int(query.get("limit", "0")),
                    query.get("continue"),
                )
        except Gone:
            self._refuse(connection, Refuse(410, "The provided continue parameter is too old"))
            return
        self._send(connection, CHUNKED_HEADERS + chunk(fault.line if fault else json.dumps(page).encode()) + END)

    def _watch(self, connection: socket.socket, request: Request, fault: Say | None) -> None:
        watch = Watch(request, connection, queued=[fault.line] if fault else [])
        self._send(connection, CHUNKED_HEADERS)
        with self._changing():
            watch.is_cut = self._listener is None
            self._watches.append(watch)
        try:
            self._tell(watch)
        finally:
            with self._changing():
                self._watches.remove(watch)

    def _tell(self, watch: Watch) -> None:
        version = int(watch.request.query.get("resourceVersion") or 0)
        until = time.monotonic() + int(watch.request.query.get("timeoutSeconds", "1800"))
        while time.monotonic() < until:
            try:
                version, lines = self._news(watch, version, until)
            except Gone:
                gone = status(410, f"too old resource version: {version}")
                lines, until = [event_line({"type": "ERROR", "object": gone})], 0.0
            for line in lines:
                if not watch.muted:
                    self._send(watch.connection, chunk(line))
        self._end(watch)

    def _news(self, watch: Watch, version: int, until: float) -> tuple[int, list[bytes]]:
        """What is new after a version, once there is something; nothing when the time is over. Raises: Gone."""
        namespace, selector = watch.request.query["namespace"], watch.request.query.get("labelSelector", "")
        with self._changing():
            watch.is_telling = False
            self._changed.notify_all()
            while time.monotonic() < until and not watch.is_cut:
                changes = self._store.since(version)
                if changes or watch.queued or watch.bookmark_due:
                    break
                self._changed.wait(until - time.monotonic())
            else:
                if watch.is_cut:
                    raise OSError("the watch was cut")
                return version, []
            version = max([version, *(change.version for change in changes)])
            events = [change.event(namespace, selector) for change in changes]
            if watch.bookmark_due:
                events.append({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}})
            lines = watch.queued + [event_line(event) for event in events if event is not None]
            watch.is_telling, watch.bookmark_due, watch.queued = True, False, []
            return version, lines

    def _end(self, watch: Watch) -> None:
        if watch.muted:
            self._say_nothing(watch.connection)
        self._send(watch.connection, END)

    def _send(self, connection: socket.socket, data: bytes) -> None:
        step = 1 if self.split_writes else len(data)
        for start in range(0, len(data), step):
            connection.sendall(data[start : start + step])
