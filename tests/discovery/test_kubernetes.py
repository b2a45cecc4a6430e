from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import trio
from fakes.apiserver import FakeApiServer
from fakes.endpointslices import endpoint_slice, pod
from kubernetes.client import ApiClient, Configuration

from peatd.discovery.events import PeerFound, PeerInfo
from peatd.discovery.kubernetes import KubernetesDiscovery, KubernetesDiscoveryConfig
from peatd.names import Address, NodeId


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as server:
        yield server


def discovery_of(server: FakeApiServer, **fields: object) -> KubernetesDiscovery:
    configuration = Configuration(host=server.url)
    return KubernetesDiscovery.with_client(
        KubernetesDiscoveryConfig(namespace="peat", **fields), ApiClient(configuration)
    )


@asynccontextmanager
async def running(discovery: KubernetesDiscovery) -> AsyncIterator[trio.MemoryReceiveChannel]:
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            await nursery.start(discovery.start)
            yield discovery.event_stream()
            discovery.stop()


async def test_a_pod_that_is_there_is_found(server: FakeApiServer) -> None:
    server.put(endpoint_slice("a", pod("peat-mesh-0", "10.0.0.1")))
    async with running(discovery_of(server)) as events:
        assert await events.receive() == PeerFound(PeerInfo(NodeId("peat-mesh-0"), (Address("10.0.0.1", 11204),)))
        await server.until(server.is_watched)
        server.put(endpoint_slice("a", pod("peat-mesh-1", "10.0.0.1")))
        print(await events.receive())
        print(await events.receive())
