"""A TCP balancer as a Kubernetes Service is one: it knows who was ready a while ago, not who is.

A kubelet probes each node at an interval, and what it finds reaches the balancer after a lag. A connection goes to a
node chosen at random and stays there; if nobody takes it there, it is cut. Nothing is tried twice.
"""

import contextlib
import http.client
import random
import socket
import threading
import time
from collections.abc import Iterator, Mapping

from e2e.nodes import Node

PROBE_INTERVAL = 0.2
LAG = 0.5
"""Seconds from a probe's answer to its effect: the endpoints' controller, the API server, kube-proxy."""
_CONNECT_TIMEOUT = 5.0
_PIECE_BYTES = 64 * 1024


class Balancer:
    """Listens on `address`, and passes on what comes there to the nodes' APIs.

    Args:
        nodes: with the address of the API of each, which stays the same.
    """

    def __init__(self, nodes: Mapping[Node, str]) -> None:
        self._nodes = nodes
        self._ready: list[tuple[float, tuple[Node, ...]]] = [(0.0, tuple(nodes))]
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.address: tuple[str, int] = self._listener.getsockname()[:2]

    def endpoints(self) -> tuple[Node, ...]:
        """Who was ready `LAG` ago."""
        moment = time.monotonic() - LAG
        return [nodes for since, nodes in self._ready if since <= moment][-1]

    def start(self) -> None:
        self._spawn(self._probe)
        self._spawn(self._accept)

    def stop(self) -> None:
        self._stopped.set()
        _cut(self._listener)
        for one in list(self._open):
            _cut(one)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        self._listener.close()

    def _spawn(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _probe(self) -> None:
        while not self._stopped.wait(PROBE_INTERVAL):
            ready = tuple(node for node in self._nodes if _is_ready(node))
            if ready != self._ready[-1][1]:
                self._ready.append((time.monotonic(), ready))

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(client)
            self._spawn(self._carry, client)

    def _carry(self, client: socket.socket) -> None:
        with client, socket.socket() as node:
            self._open.add(node)
            try:
                endpoints = self.endpoints()
                if not endpoints:
                    return
                host, _, port = self._nodes[random.choice(endpoints)].rpartition(":")
                node.settimeout(_CONNECT_TIMEOUT)
                node.connect((host, int(port)))
                node.settimeout(None)
                back = threading.Thread(target=_pump, args=(node, client), daemon=True)
                back.start()
                _pump(client, node)
                back.join()
            except OSError:
                _cut(client)
            finally:
                self._open -= {client, node}


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Carries bytes one way; an end is an end and a reset a reset on the other side, too."""
    try:
        while piece := source.recv(_PIECE_BYTES):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        _cut(source)
        _cut(sink)


def _cut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _is_ready(node: Node) -> bool:
    try:
        with node.connection(timeout=1.0) as connection:
            return connection.ask("GET", "ready").status == 200
    except (OSError, http.client.HTTPException):
        return False


@contextlib.contextmanager
def balanced(nodes: Mapping[Node, str]) -> Iterator[Balancer]:
    balancer = Balancer(nodes)
    balancer.start()
    try:
        yield balancer
    finally:
        balancer.stop()
