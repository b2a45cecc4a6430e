"""Kubernetes discovery ends when told to, whatever its thread waits for: alone, none of these waits ends in time."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from fakes.apiserver import FakeApiServer
from fakes.apiserver_wire import Hang, Refuse
from fakes.certificates import Authority
from fakes.endpointslices import endpoint_slice, pod
from kubernetes.client import ApiClient, Configuration

from peatd.discovery.kubernetes import KubernetesDiscovery, KubernetesDiscoveryConfig

# CPython leaves an SSLSocket to the garbage collector, with a warning, whose connection is reset between its connect
# and its handshake (ssl.SSLSocket._create, 3.11.7). Cutting a connection does just that now and then.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")

PATIENCE = 2.5
"""Less than any of our timeouts, more than a busy machine needs."""

Arrange = Callable[[FakeApiServer], Callable[[], bool]]


def _in_a_watch(server: FakeApiServer) -> Callable[[], bool]:
    return server.is_watched


def _before_the_headers_of_a_list(server: FakeApiServer) -> Callable[[], bool]:
    server.always("list", Hang())
    return lambda: server.count("list") >= 1


def _before_the_headers_of_a_watch(server: FakeApiServer) -> Callable[[], bool]:
    server.always("watch", Hang())
    return lambda: server.count("watch") >= 1


def _in_a_tls_handshake(server: FakeApiServer) -> Callable[[], bool]:
    server.hang_tls = True
    return lambda: server.connected >= 1


def _in_a_half_open_watch(server: FakeApiServer) -> Callable[[], bool]:
    def muted() -> bool:
        server.mute()
        return server.is_watched()

    return muted


def _while_backing_off(server: FakeApiServer) -> Callable[[], bool]:
    server.always("list", Refuse(503, retry_after=60))
    return lambda: server.count("list") >= 1


PHASES = [
    _in_a_watch,
    _before_the_headers_of_a_list,
    _before_the_headers_of_a_watch,
    _in_a_tls_handshake,
    _in_a_half_open_watch,
    _while_backing_off,
]


@pytest.mark.parametrize("end", ["cancel", "stop"])
@pytest.mark.parametrize("arrange", PHASES)
async def test_it_ends_at_once(arrange: Arrange, end: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with FakeApiServer(authority.server_context()) as server:
        server.put(endpoint_slice("mesh", pod("alice", "10.0.0.1")))
        reached = arrange(server)
        configuration = Configuration(host=server.url, ssl_ca_cert=str(authority.ca_file))
        config = KubernetesDiscoveryConfig(namespace="peat", poll_interval=30)
        discovery = KubernetesDiscovery.with_client(config, ApiClient(configuration))
        events = discovery.event_stream()
        async with trio.open_nursery() as nursery:
            await nursery.start(discovery.start)
            await server.until(reached)
            with trio.fail_after(PATIENCE):
                if end == "stop":
                    discovery.stop()
                else:
                    nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True):
                    async for _ in events:
                        pass


async def test_it_ends_while_a_connect_is_not_answered() -> None:
    """A listener whose backlog is full drops the SYN: nothing that we hold a duplicate of yet."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as listener,
        socket.socket() as first,
        socket.socket() as second,
    ):
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        host = "http://{}:{}".format(*listener.getsockname())
        client = ApiClient(Configuration(host=host))
        discovery = KubernetesDiscovery.with_client(KubernetesDiscoveryConfig(namespace="peat"), client)
        async with trio.open_nursery() as nursery:
            await nursery.start(discovery.start)
            await trio.testing.wait_all_tasks_blocked(0.01)
            with trio.fail_after(PATIENCE):
                nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True):
                    async for _ in discovery.event_stream():
                        pass
