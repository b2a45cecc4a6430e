"""Kubernetes discovery against a fake API server over real sockets: what it finds, and what it outlives."""

import itertools
import math

import pytest
import structlog.testing
import trio
import trio.testing
from fakes.apiserver import FakeApiServer
from fakes.apiserver_wire import HangUp, Refuse, Say
from fakes.endpointslices import endpoint_slice, pod
from fakes.running import Events, running
from kubernetes.client import ApiClient, Configuration

from peatd.discovery import kubernetes_session
from peatd.discovery.events import DiscoveryStatus, PeerFound, PeerInfo, PeerLost, PeerUpdated
from peatd.discovery.kubernetes import KubernetesDiscovery, KubernetesDiscoveryConfig
from peatd.names import Address, NodeId

LONG = 30.0
"""A poll interval that no test outlives: what happens within one happened by watching."""


def discovery_of(
    server: FakeApiServer, poll_interval: float = LONG, selector: str = "app=peat-mesh"
) -> KubernetesDiscovery:
    config = KubernetesDiscoveryConfig(namespace="peat", poll_interval=poll_interval, label_selector=selector)
    return KubernetesDiscovery.with_client(config, ApiClient(Configuration(host=server.url)))


def peer(name: str, *ips: str, port: int = 11204, relay_url: str | None = None, **metadata: str) -> PeerInfo:
    return PeerInfo(NodeId(name), tuple(Address(ip, port) for ip in ips), relay_url, metadata)


ALICE, BOB = pod("alice", "10.0.0.1"), pod("bob", "10.0.0.2")
FOUND_ALICE, FOUND_BOB = PeerFound(peer("alice", "10.0.0.1")), PeerFound(peer("bob", "10.0.0.2"))


async def settled(server: FakeApiServer, events: Events) -> None:
    """Alice is there, and the watch goes on from there."""
    assert await events.receive() == FOUND_ALICE
    await server.until(server.is_watched)


@pytest.fixture(autouse=True)
def quick_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chance is on the tests' side: backoff is jitter from zero up, and here it is nearly zero."""
    monkeypatch.setattr("random.random", lambda: 0.001)


async def test_a_pod_is_found_updated_and_lost(server: FakeApiServer) -> None:
    server.put(endpoint_slice("mesh", ALICE))
    discovery = discovery_of(server)
    async with running(discovery) as events:
        await settled(server, events)
        server.put(endpoint_slice("mesh", pod("alice", "10.0.0.9")))
        assert await events.receive() == PeerUpdated(peer("alice", "10.0.0.9"))
        server.put(endpoint_slice("mesh", pod("alice", "10.0.0.9"), annotations={"peat.role": "hub"}))
        assert await events.receive() == PeerUpdated(peer("alice", "10.0.0.9", role="hub"))
        server.put(endpoint_slice("mesh", pod("alice", "10.0.0.9"), annotations={"peat.relay_url": "https://r"}))
        assert await events.receive() == PeerUpdated(peer("alice", "10.0.0.9", relay_url="https://r"))
        server.delete("mesh")
        assert await events.receive() == PeerLost(NodeId("alice"))
        assert discovery.discovered_peers() == ()
    assert server.count("list") == 1
    assert server.count("watch") == 1


async def test_a_service_without_pods_has_null_endpoints(server: FakeApiServer) -> None:
    server.put(endpoint_slice("mesh"))
    discovery = discovery_of(server)
    async with running(discovery) as events:
        await server.until(server.is_watched)
        assert discovery.status().ready
        assert discovery.discovered_peers() == ()
        server.put(endpoint_slice("mesh", ALICE))
        assert await events.receive() == FOUND_ALICE


async def test_a_long_list_comes_in_pages(server: FakeApiServer) -> None:
    server.put(
        *(endpoint_slice(f"slice-{n:04}", pod(f"pod-{n:04}", f"10.0.{n // 250}.{n % 250}")) for n in range(1203))
    )
    discovery = discovery_of(server)
    async with running(discovery):
        await server.until(server.is_watched)
        assert len(discovery.discovered_peers()) == 1203
    lists = [request.query for request in server.requests if request.verb == "list"]
    assert [query["limit"] for query in lists] == ["500"] * 3
    assert ["continue" in query for query in lists] == [False, True, True]


async def test_a_continue_token_that_expired_begins_the_list_again(server: FakeApiServer) -> None:
    server.put(*(endpoint_slice(f"slice-{n}", pod(f"pod-{n}", f"10.0.{n // 250}.{n % 250}")) for n in range(600)))
    server.next("list", Say(b'{"metadata": {"resourceVersion": "1", "continue": "WzEsNTAwXQ=="}, "items": null}'))
    discovery = discovery_of(server)
    async with running(discovery):
        await server.until(server.is_watched)
        assert len(discovery.discovered_peers()) == 600


async def test_a_label_taken_away_or_given_is_a_peer_lost_or_found(server: FakeApiServer) -> None:
    server.put(endpoint_slice("mesh", ALICE), endpoint_slice("other", BOB, labels={"app": "else"}))
    async with running(discovery_of(server)) as events:
        await settled(server, events)
        server.put(endpoint_slice("other", BOB))
        assert await events.receive() == FOUND_BOB
        server.put(endpoint_slice("mesh", ALICE, labels={"app": "else"}))
        assert await events.receive() == PeerLost(NodeId("alice"))


async def test_the_list_and_watch_are_as_they_should_be(server: FakeApiServer) -> None:
    server.put(endpoint_slice("mesh", ALICE))
    async with running(discovery_of(server, selector="app in (peat-mesh, x),!gone")) as events:
        await settled(server, events)
    listed, watched = (request.query for request in server.requests)
    assert listed == {"namespace": "peat", "limit": "500", "labelSelector": "app in (peat-mesh, x),!gone"}
    assert watched["resourceVersion"] == "101"
    assert watched["allowWatchBookmarks"].lower() == "true"
    assert watched["timeoutSeconds"] == "30"
    assert watched["labelSelector"] == listed["labelSelector"]


async def test_everything_is_listed_again_when_the_poll_interval_is_over(server: FakeApiServer) -> None:
    async with running(discovery_of(server, poll_interval=1)):
        await server.until(lambda: server.count("list") >= 2)
    assert server.count("watch") in (1, 2)


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_watch_that_is_cut_goes_on_where_it_was(server: FakeApiServer, how: str) -> None:
    server.put(endpoint_slice("mesh", ALICE))
    async with running(discovery_of(server)) as events:
        await settled(server, events)
        server.put(endpoint_slice("other", BOB))
        assert await events.receive() == FOUND_BOB
        with server.paused():
            server.cut_watches(how)
            server.put(endpoint_slice("other"))
        assert await events.receive() == PeerLost(NodeId("bob"))
    assert server.count("list") == 1
    assert [request.query["resourceVersion"] for request in server.requests[1:]] == ["101", "102"]


async def test_a_bookmark_moves_where_the_watch_goes_on(server: FakeApiServer) -> None:
    server.put(endpoint_slice("mesh", ALICE))
    async with running(discovery_of(server)) as events:
        await settled(server, events)
        server.put(endpoint_slice("elsewhere", BOB, labels={"app": "else"}))
        server.bookmark()
        await server.until(server.all_is_said)
        server.cut_watches("fin")
        await server.until(lambda: server.count("watch") >= 2)
    assert [request.query.get("resourceVersion") for request in server.requests] == [None, "101", "102"]


async def test_410_under_200_lists_again_at_once(server: FakeApiServer) -> None:
    server.put(endpoint_slice("mesh", ALICE))
    discovery = discovery_of(server)
    async with running(discovery) as events:
        await settled(server, events)
        with server.paused():
            server.cut_watches("fin")
            server.put(endpoint_slice("mesh", BOB))
            server.compact()
        assert await events.receive() == FOUND_BOB
        assert await events.receive() == PeerLost(NodeId("alice"))
    assert server.count("list") == 2


async def test_a_resource_version_from_the_future_is_silent_until_the_poll_interval(server: FakeApiServer) -> None:
    server.put(endpoint_slice("mesh", ALICE))
    async with running(discovery_of(server, poll_interval=2)) as events:
        await settled(server, events)
        server.restore(5)
        server.put(endpoint_slice("mesh", BOB))
        assert await events.receive() == FOUND_BOB
    assert server.count("list") == 2


async def test_a_half_open_connection_ends_by_our_own_timeout(
    server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_session, "WATCH_SLACK", 0.1)
    server.put(endpoint_slice("mesh", ALICE))
    async with running(discovery_of(server, poll_interval=1)) as events:
        await settled(server, events)
        server.mute()
        server.put(endpoint_slice("mesh", BOB))
        assert await events.receive() == FOUND_BOB


async def test_a_server_that_trickles_is_cut_off(server: FakeApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peatd.discovery.kubernetes._WATCH_BOUND", 0.1)
    server.put(endpoint_slice("mesh", ALICE))
    async with running(discovery_of(server, poll_interval=1)) as events:
        await settled(server, events)
        server.mute()
        server.put(endpoint_slice("mesh", BOB))
        assert await events.receive() == FOUND_BOB


async def test_split_writes_are_read_whole(server: FakeApiServer) -> None:
    server.split_writes = True
    server.put(endpoint_slice("mesh", ALICE, annotations={"peat.motto": "schön"}))
    async with running(discovery_of(server)) as events:
        assert await events.receive() == PeerFound(peer("alice", "10.0.0.1", motto="schön"))
        await server.until(server.is_watched)
        server.put(endpoint_slice("mesh", ALICE, annotations={"peat.motto": "größer"}))
        assert await events.receive() == PeerUpdated(peer("alice", "10.0.0.1", motto="größer"))


@pytest.mark.parametrize(
    "line",
    [
        b"not json\n",
        b"[]\n",
        b'{"type": "ADDED"}\n',
        b'{"type": "NEW", "object": {"metadata": {"resourceVersion": "1"}}}\n',
    ],
)
async def test_a_garbage_line_lists_again(server: FakeApiServer, line: bytes) -> None:
    server.put(endpoint_slice("mesh", ALICE))
    discovery = discovery_of(server)
    async with running(discovery) as events:
        await settled(server, events)
        with server.paused():
            server.say(line)
            server.put(endpoint_slice("mesh", BOB))
        assert await events.receive() == FOUND_BOB
        assert await events.receive() == PeerLost(NodeId("alice"))
    assert server.count("list") == 2


async def test_a_slice_that_cannot_be_read_stays_as_it_was(server: FakeApiServer) -> None:
    server.put(endpoint_slice("mesh", ALICE))
    discovery = discovery_of(server)
    with structlog.testing.capture_logs() as logs:
        async with running(discovery) as events:
            await settled(server, events)
            server.put({**endpoint_slice("mesh", ALICE), "endpoints": "?"}, endpoint_slice("other", BOB))
            assert await events.receive() == FOUND_BOB
            server.say(b"so that it lists again\n")
            await server.until(lambda: server.count("list") >= 2 and server.is_watched())
            assert len(discovery.discovered_peers()) == 2
    assert {log["event"] for log in logs if log.get("name") == "mesh"} == {"endpointslice_unreadable"}


async def test_a_missing_role_is_named_and_waited_for(server: FakeApiServer) -> None:
    server.put(endpoint_slice("mesh", ALICE))
    server.verbs = set()
    discovery = discovery_of(server)
    with structlog.testing.capture_logs() as logs:
        async with running(discovery) as events:
            await server.until(lambda: server.count("list") >= 4)
            server.verbs = {"list", "watch"}
            await settled(server, events)
            assert discovery.status() == DiscoveryStatus(True)
            denied = [log for log in logs if log["event"] == "kubernetes_discovery_stale"]
    assert len(denied) == 1
    assert "list endpointslices.discovery.k8s.io" in denied[0]["reason"]
    assert "403" in denied[0]["reason"]


async def test_not_ready_says_which_rule_is_missing(server: FakeApiServer) -> None:
    server.verbs = {"watch"}
    discovery = discovery_of(server)
    async with running(discovery):
        await server.until(lambda: server.count("list") >= 2)
        status = discovery.status()
    assert not status.ready
    assert status.message is not None
    for part in ("list", "watch", "endpointslices", "discovery.k8s.io", '"peat"'):
        assert part in status.message


async def test_a_role_lost_later_leaves_it_ready_and_stale_with_its_peers(server: FakeApiServer) -> None:
    server.put(endpoint_slice("mesh", ALICE))
    discovery = discovery_of(server)
    async with running(discovery) as events:
        await settled(server, events)
        server.verbs = set()
        server.cut_watches("fin")
        await server.until(lambda: server.count("watch") >= 4)
        status = discovery.status()
        assert status.ready
        assert status.message is not None
        assert status.message.startswith("stale since 20")
        assert "not allowed to watch" in status.message
        assert [one.node_id for one in discovery.discovered_peers()] == ["alice"]
        server.verbs = {"list", "watch"}
        await server.until(server.is_watched)
        server.put(endpoint_slice("mesh", ALICE, BOB))
        assert await events.receive() == FOUND_BOB
        assert discovery.status().message is None


async def test_a_role_without_watch_still_lists_each_poll_interval(server: FakeApiServer) -> None:
    server.verbs = {"list"}
    server.put(endpoint_slice("mesh", ALICE))
    discovery = discovery_of(server, poll_interval=0.5)
    async with running(discovery) as events:
        assert await events.receive() == FOUND_ALICE
        server.put(endpoint_slice("mesh", ALICE, BOB))
        assert await events.receive() == FOUND_BOB
        assert "not allowed to watch" in (discovery.status().message or "")


@pytest.mark.parametrize("code", [429, 503, 504])
async def test_retry_after_is_honoured(server: FakeApiServer, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    real_sleep = trio.sleep

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await real_sleep(0)

    monkeypatch.setattr("peatd.discovery.kubernetes.trio.sleep", sleep)
    server.next("list", Refuse(code, retry_after=7))
    server.put(endpoint_slice("mesh", ALICE))
    async with running(discovery_of(server)) as events:
        await settled(server, events)
    assert math.isclose(slept[0], 7.001)


@pytest.mark.parametrize("fault", [Refuse(422), Refuse(500), Refuse(504), HangUp("fin"), HangUp("rst"), Say(b"{")])
async def test_a_list_that_fails_is_tried_again(server: FakeApiServer, fault: Refuse | HangUp | Say) -> None:
    server.put(endpoint_slice("mesh", ALICE))
    server.next("list", fault, fault)
    async with running(discovery_of(server)) as events:
        await settled(server, events)
    assert server.count("list") == 3


@pytest.mark.parametrize("fault", [Refuse(422), Refuse(500), Refuse(504), HangUp("fin"), HangUp("rst")])
async def test_a_watch_that_fails_is_tried_again(server: FakeApiServer, fault: Refuse | HangUp) -> None:
    server.put(endpoint_slice("mesh", ALICE))
    server.next("watch", fault, fault)
    async with running(discovery_of(server)) as events:
        await settled(server, events)
    assert server.count("list") == 1
    assert server.count("watch") == 3


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_server_that_restarts_costs_no_peer(server: FakeApiServer, how: str) -> None:
    server.put(endpoint_slice("mesh", ALICE))
    discovery = discovery_of(server)
    async with running(discovery) as events:
        await settled(server, events)
        await trio.to_thread.run_sync(server.stop, how)
        while "refused" not in (discovery.status().message or ""):
            await trio.testing.wait_all_tasks_blocked()
        assert discovery.status().ready
        assert len(discovery.discovered_peers()) == 1
        # It comes back as they do: what it forgot is gone (410), and its authorizer is not up yet (403).
        server.put(endpoint_slice("mesh", BOB))
        server.compact()
        server.next("list", Refuse(403))
        server.start()
        assert await events.receive() == FOUND_BOB
        assert await events.receive() == PeerLost(NodeId("alice"))
        await server.until(server.is_watched)


async def test_churn_ends_in_what_is_there(server: FakeApiServer) -> None:
    discovery = discovery_of(server)
    async with running(discovery) as events:
        await server.until(server.is_watched)
        for step, name in itertools.product(range(20), "abc"):
            pods = [pod(f"{name}-{n}", f"10.{ord(name)}.{step}.{n}") for n in range(step % 7)]
            server.put(endpoint_slice(name, *pods))
            if step in (5, 15):
                server.cut_watches("rst" if step == 5 else "fin")
            if step == 10:
                server.compact()
                server.cut_watches("fin")
        server.put(endpoint_slice("last", pod("last", "10.0.0.1")))
        known: dict[NodeId, PeerInfo] = {}
        while "last" not in known or any(not key.endswith(("last", "0", "1", "2", "3", "4")) for key in known):
            match await events.receive():
                case PeerFound(one):
                    assert one.node_id not in known
                    known[one.node_id] = one
                case PeerUpdated(one):
                    assert known[one.node_id] != one
                    known[one.node_id] = one
                case PeerLost(node_id):
                    del known[node_id]
        while {one.node_id: one for one in discovery.discovered_peers()} != known:
            match await events.receive():
                case PeerFound(one) | PeerUpdated(one):
                    known[one.node_id] = one
                case PeerLost(node_id):
                    del known[node_id]
    assert set(known) == {"last"} | {f"{name}-{n}" for name in "abc" for n in range(19 % 7)}
