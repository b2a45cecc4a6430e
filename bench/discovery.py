"""How soon a change in the cluster is known, and how soon a watch ends that is told to, whatever it waits for."""

import http.client
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog.testing
import trio
from kubernetes.client import ApiClient, Configuration

from bench.fakes import Authority, FakeApiServer, Hang, Refuse, endpoint_slice, pod
from bench.table import Row, percentile, tails
from peatd.discovery.events import PeerUpdated
from peatd.discovery.kubernetes import KubernetesDiscovery, KubernetesDiscoveryConfig

EVENT_WITHIN = STOP_WITHIN = 50.0
"""Milliseconds."""

_MESH = "/apis/discovery.k8s.io/v1/namespaces/peat/endpointslices"

Reached = Callable[[], bool]


def measure(*, quick: bool) -> list[Row]:
    changes = 50 if quick else 500
    told = trio.run(_events, changes)
    bare = 1000 * percentile(_bare_watch(changes), 0.99)
    with tempfile.TemporaryDirectory() as made, structlog.testing.capture_logs():
        stops = {phase: trio.run(_stops, Path(made), phase, 2 if quick else 20) for phase in _PHASES}
    slowest = max(stops, key=lambda phase: max(stops[phase]))
    in_all = tails([took for phase in stops.values() for took in phase])
    return [
        Row(
            "an EndpointSlice's change reaches the dialer (p99)",
            1000 * percentile(told, 0.99),
            "ms",
            EVENT_WITHIN,
            beside=("a bare watch", bare),
            note=tails(told),
        ),
        Row(
            "a watch ends when told to (slowest)",
            1000 * max(stops[slowest]),
            "ms",
            STOP_WITHIN,
            note=f"{slowest}; in all {len(stops)} phases: {in_all}",
        ),
    ]


async def _events(changes: int) -> list[float]:
    times = []
    with FakeApiServer() as server:
        server.put(_mesh(0))
        discovery = _discovery(Configuration(host=server.url))
        events = discovery.event_stream()
        async with trio.open_nursery() as nursery:
            await nursery.start(discovery.start)
            await events.receive()
            await server.until(server.is_watched)
            for number in range(1, changes + 1):
                started = time.perf_counter()
                server.put(_mesh(number))
                event = await events.receive()
                assert isinstance(event, PeerUpdated), event
                times.append(time.perf_counter() - started)
            discovery.stop()
    return times


def _bare_watch(changes: int) -> list[float]:
    """The same changes, read line by line by a client that does nothing else."""
    times = []
    with FakeApiServer() as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("GET", f"{_MESH}?watch=true&timeoutSeconds=60")
        lines = connection.getresponse()
        for number in range(changes):
            started = time.perf_counter()
            server.put(_mesh(number))
            lines.readline()
            times.append(time.perf_counter() - started)
        connection.close()
    return times


async def _stops(directory: Path, phase: str, count: int) -> list[float]:
    authority = Authority(directory)
    times = []
    for _ in range(count):
        with FakeApiServer(authority.server_context()) as server:
            server.put(_mesh(0))
            reached = _PHASES[phase](server)
            discovery = _discovery(Configuration(host=server.url, ssl_ca_cert=str(authority.ca_file)))
            async with trio.open_nursery() as nursery:
                await nursery.start(discovery.start)
                await server.until(reached)
                started = time.perf_counter()
                discovery.stop()
            times.append(time.perf_counter() - started)
    return times


def _discovery(configuration: Configuration) -> KubernetesDiscovery:
    return KubernetesDiscovery.with_client(KubernetesDiscoveryConfig(namespace="peat"), ApiClient(configuration))


def _mesh(number: int) -> dict[str, Any]:
    return endpoint_slice("mesh", pod("alice", f"10.0.{number // 256}.{number % 256}"))


def _watching(server: FakeApiServer) -> Reached:
    return lambda: bool(server.is_watched())


def _listing(server: FakeApiServer) -> Reached:
    server.always("list", Hang())
    return lambda: server.count("list") == 1


def _beginning_to_watch(server: FakeApiServer) -> Reached:
    server.always("watch", Hang())
    return lambda: server.count("watch") == 1


def _in_tls(server: FakeApiServer) -> Reached:
    server.hang_tls = True
    return lambda: server.connected == 1


def _half_open(server: FakeApiServer) -> Reached:
    def is_muted() -> bool:
        server.mute()
        return bool(server.is_watched())

    return is_muted


def _backing_off(server: FakeApiServer) -> Reached:
    server.always("list", Refuse(503, retry_after=60))
    return lambda: server.count("list") == 1


_PHASES = {
    "in a watch": _watching,
    "waiting for a list": _listing,
    "waiting for a watch to begin": _beginning_to_watch,
    "in a TLS handshake": _in_tls,
    "half open": _half_open,
    "backing off": _backing_off,
}
