"""What is rendered is what a node needs: real nodes are started with it, and find each other by it alone."""

import json
import signal
import subprocess
import time

from deploy.chart import SECRET, Json, merged, render
from deploy.faults import faults
from deploy.kubelet import Cluster, Pod
from deploy.objects import Objects
from e2e.nodes import until, up, wait_equal, wait_linked

from peatd.formation import Formation, parse_formation_secret

TWO = {"replicaCount": 2}


def started(cluster: Cluster, values: Json, network: int = 0, **release: str) -> list[Pod]:
    documents = render(values, **release)
    assert faults(documents) == []
    objects = Objects(documents)
    if objects.asks_kubernetes:
        cluster.allow(objects)
    pods = cluster.pods(objects, network)
    for one in pods:
        one.start()
    return pods


def test_pods_become_ready_and_find_each_other(cluster: Cluster, ports: Json) -> None:
    pods = started(cluster, merged(ports, {"replicaCount": 3}))
    for one in pods:
        one.wait_ready()
    wait_linked(*pods)
    for one in pods:
        assert one.stated()["node_id"] == one.name
        assert set(one.peers()) == {other.name for other in pods} - {one.name}
        assert {peer["source"] for peer in one.peers().values()} <= {"kubernetes", "kubernetes,inbound"}
        assert [one.probe(name) for name in ("startupProbe", "livenessProbe", "readinessProbe")] == [200, 200, 200]
    assert {request.query["namespace"] for request in cluster.server.requests} == {"peat"}
    pods[0].write("PUT", "chart/a", {"n": 1}, "?ack=replicated:2")
    wait_equal(pods, "chart/a")


def test_a_release_beside_it_is_a_stranger_although_it_has_the_secret(cluster: Cluster, ports: Json) -> None:
    ours = started(cluster, merged(ports, TWO))
    theirs = started(cluster, merged(ports, TWO), 1, release="second")
    for pods in (ours, theirs):
        for one in pods:
            one.wait_ready()
        wait_linked(*pods)
    for pods in (ours, theirs):
        for one in pods:
            assert set(one.peers()) == {other.name for other in pods} - {one.name}


def test_a_node_without_the_role_is_alive_unready_and_names_what_it_lacks(cluster: Cluster, ports: Json) -> None:
    objects = Objects(render(merged(ports, {"replicaCount": 1})))
    cluster.allow(objects)
    cluster.server.verbs = set()
    (one,) = cluster.pods(objects, 0)
    one.start()
    until(lambda: one.probe("livenessProbe") == 200, "it is alive")
    until(lambda: "endpointslices" in one.ask("GET", "ready").body.decode(), "it says what it lacks")
    assert one.probe("readinessProbe") == 503
    cluster.allow(objects)
    one.wait_ready()
    assert one.probe("readinessProbe") == 200


def test_without_kubernetes_a_pod_has_no_token_and_links_by_its_list(cluster: Cluster, ports: Json) -> None:
    static = merged(ports, {"discovery": {"mode": "static"}})
    peers = {"peers": [f"127.11.0.{n}:{ports['mesh']['port']}" for n in (1, 2)]}
    pods = started(cluster, merged(static, {**TWO, **peers}))
    for one in pods:
        assert not list(one.root.rglob("token"))
        one.wait_ready()
    wait_linked(*pods)
    assert cluster.server.requests == []


def test_an_edge_node_joins_with_the_secret_and_an_address(cluster: Cluster, ports: Json) -> None:
    """Federation: the edge lists the cluster, or the cluster (values, or its file) lists the edge."""
    port = ports["mesh"]["port"]
    edge = {"replicaCount": 1, "fullnameOverride": "edge", "discovery": {"mode": "none"}}
    listed = {"config": f'[[peers]]\naddress = "127.11.1.1:{port}"\nname = "edge-0"\n'}
    pods = started(cluster, merged(merged(ports, TWO), listed))
    (joining,) = started(cluster, merged(ports, edge), 1, release="edge")
    wait_linked(pods[0], joining)
    wait_linked(pods[1], joining)
    assert pods[0].peers()["edge-0"]["source"] == "static"
    joining.write("PUT", "chart/edge", {"n": 1}, "?ack=replicated:2")
    wait_equal([*pods, joining], "chart/edge")


def test_annotations_of_a_slice_reach_the_peers(cluster: Cluster, ports: Json) -> None:
    objects = Objects(render(merged(ports, {**TWO, "podAnnotations": {"peat.lost": "on the way"}})))
    cluster.allow(objects)
    pods = cluster.pods(objects, 0)
    up(*pods)
    (slice_,) = (one for one in cluster.server.slices() if "headless" in one["metadata"]["name"])
    slice_["metadata"]["annotations"] = {"peat.zone": "field", "peat.relay_url": "https://relay.example"}
    cluster.server.put(slice_)
    until(lambda: pods[0].peers()[pods[1].name]["metadata"] == {"zone": "field"}, "the metadata are there")
    assert pods[0].peers()[pods[1].name]["relay_url"] == "https://relay.example"


def test_the_formation_secret_is_rotated_without_a_break(cluster: Cluster, ports: Json) -> None:
    """As the guide has it: the new one behind, the new one first, the old one away; no pod is restarted for it."""
    old, new = SECRET, "bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmU="
    values = merged(ports, TWO)
    pods = started(cluster, merged(values, {"formation": {"secret": old}}))
    up_again(pods)
    pids = {one.pid for one in pods}
    for step, secret in enumerate([f"{old}\n{new}\n", f"{new}\n{old}\n", new]):
        objects = Objects(render(merged(values, {"formation": {"secret": secret}})))
        assert objects.template == pods[0].objects.template, "the pods are not restarted"
        names = list(Formation("peat", parse_formation_secret(secret, "test")).fingerprints)
        for one in reversed(pods):
            one.objects = objects
            one.mount()
            until(lambda one=one, names=names: one.get("node")["secrets"] == names, "it has read it again")  # type: ignore[misc]
            wait_linked(*pods)
            one.write("PUT", f"rotation/{one.name}-{step}", {"n": step}, "?ack=replicated:1")
        until(lambda names=names: all(accepted(one) == [names] for one in pods), "all know that")  # type: ignore[misc]
    assert {one.pid for one in pods} == pids
    assert b"old" not in pods[0].objects.one("Secret")["data"]["formation-secret"].encode()
    wait_equal(pods, *(f"rotation/{one.name}-{step}" for one in pods for step in range(3)))


def accepted(pod: Pod) -> list[list[str]]:
    """What its peers accept."""
    return [peer["secrets"] for peer in pod.peers().values()]


def up_again(pods: list[Pod]) -> None:
    for one in pods:
        one.wait_ready()
    wait_linked(*pods)


def test_helm_test_says_yes_to_ready_nodes_and_no_to_others(cluster: Cluster, ports: Json) -> None:
    pods = started(cluster, merged(ports, TWO))
    (container,) = pods[0].objects.one("Pod")["spec"]["containers"]
    script, name, *hosts = container["args"]
    addresses = {f"{one.name}.{one.objects.headless['metadata']['name']}": one.address for one in pods}
    addresses[pods[0].objects.api["metadata"]["name"]] = pods[0].address

    def run(script: str) -> subprocess.CompletedProcess[str]:
        asked = [f"{addresses[host]}:{port}" for host, port in (host.split(":") for host in hosts)]
        command = [*container["command"], script, name, *asked]
        return subprocess.run(
            command, env=pods[0].environ | {"PEAT_DATA_DIR": "/nowhere"}, capture_output=True, text=True
        )

    done = run(script)
    assert (done.returncode, done.stdout.count("ready\n")) == (0, 3), done
    pods[1].stop()
    done = run(script.replace("--wait 60", "--wait 0"))
    assert done.returncode == 3, done


def test_the_key_of_a_pod_follows_from_the_secret_and_its_name(cluster: Cluster, ports: Json) -> None:
    (one,) = started(cluster, merged(ports, {"replicaCount": 1}))
    one.wait_ready()
    file = one.environ["PEAT_FORMATION_SECRET_FILE"]
    command = ["peat", "keygen", "--seed-file", file, "--base64", "--context", one.name, "--json"]
    made = subprocess.run(command, env=dict(one.environ), capture_output=True, text=True, check=True).stdout
    assert one.stated()["device_id"] == json.loads(made)["device_id"]


def test_a_pod_serves_on_while_it_drains_and_is_gone_within_its_grace(cluster: Cluster, ports: Json) -> None:
    (one,) = started(cluster, merged(ports, {"replicaCount": 1, "drainDelay": 5}))
    one.wait_ready()
    grace = one.objects.pod["terminationGracePeriodSeconds"]
    began = time.monotonic()
    one.send_signal(signal.SIGTERM)
    until(lambda: one.probe("readinessProbe") == 503, "it says that it leaves")
    assert one.probe("livenessProbe") == 200
    one.write("PUT", "chart/late", {"n": 1}, "?ack=durable")
    assert one.process is not None
    assert one.process.wait(grace) == 0
    assert 5 <= time.monotonic() - began < grace - 15, "a slow disk has the rest"
