"""Each message in the guide's table is what peatd really says in that case."""

import contextlib
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from deploy.chart import CHART, ROOT, Json, Refused, helm, merged, render
from deploy.kubelet import Cluster, Pod
from deploy.objects import Objects
from e2e.nodes import until, up

from peatd.errors import RelayError
from peatd.identity import Keypair
from peatd.relay.gate import Gate
from peatd.relay.protocol import Signer
from peatd.store.faults import fault

GUIDE = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")


def messages() -> set[str]:
    """The second column."""
    table = GUIDE.split("\n## Troubleshooting\n")[1]
    rows = re.findall(r"^\| [^|]+ \| `([^|]+)` \| .*\|$", table, re.MULTILINE)
    return set(rows)


def pods(cluster: Cluster, values: Json, network: int = 0, **release: str) -> list[Pod]:
    objects = Objects(render(merged({"replicaCount": 1}, values), **release))
    if objects.asks_kubernetes:
        cluster.allow(objects)
    return cluster.pods(objects, network)


def refused(*values: str) -> str:
    with pytest.raises(Refused) as error:
        helm("template", "peat-mesh", str(CHART), *values)
    return str(error.value)


def crashed(pod: Pod, **environ: str) -> str:
    """What a pod says that does not start, with exit code 2."""
    pod.environ = {**pod.environ, **environ}
    pod.start()
    assert pod.process is not None
    assert pod.process.wait(30) == 2
    return pod.log()


def why_not_ready(pod: Pod) -> str:
    done = subprocess.run(["peat", "ready"], env=dict(pod.environ), capture_output=True, text=True, check=False)
    return done.stderr if done.returncode == 1 else ""


def shown_peers(pod: Pod) -> str:
    return subprocess.run(["peat", "peers"], env=dict(pod.environ), capture_output=True, text=True, check=True).stdout


def test_the_chart_refuses(cluster: Cluster) -> None:
    said = refused() + refused("--set", "formation.secret=c2hvcnQ=")
    assert "there is no formation secret, and nodes meet by it alone" in said
    assert "line 1 of formation.secret has 5 bytes, at least 16 are needed" in said


def test_pods_that_do_not_start(cluster: Cluster, ports: Json) -> None:
    (pod,) = pods(cluster, ports)
    secret = Path(pod.environ["PEAT_FORMATION_SECRET_FILE"])
    text = secret.read_text()
    secret.chmod(0o600)
    secret.write_text("\n")
    assert "the formation secret is empty" in crashed(pod)
    secret.write_text(text)
    said = crashed(pod, PEAT_SERVICE_ACCOUNT_DIR="/nowhere")
    assert "there is no Kubernetes cluster to ask: no service account" in said


def test_relays_that_do_not_serve(cluster: Cluster, ports: Json) -> None:
    (pod,) = pods(cluster, merged(ports, {"relayUrls": ["tcp://127.0.0.1:9"]}))
    pod.start().wait_ready()
    until(lambda: "not registered at a relay" in pod.log(), "the log tells of it")
    told = subprocess.run(["peat", "node"], env=dict(pod.environ), capture_output=True, text=True, check=True).stdout
    assert "no connection to 127.0.0.1:9: connection refused" in told
    key = Keypair.from_secret(b"\x01" * 32)
    request = Signer(key, (key,)).request("dial", "ab" * 16, "other.example:443", b"n" * 32)
    gate = Gate(("relay.example",), list)
    with pytest.raises(RelayError, match="this relay does not go by other"):
        gate.check(request, b"n" * 32, "10.0.0.1")
    gate = Gate(("other.example",), list)
    with pytest.raises(RelayError, match="this relay does not serve the node's formation"):
        gate.check(request, b"n" * 32, "10.0.0.1")


def test_an_engine_that_is_not_in_the_image(cluster: Cluster, ports: Json) -> None:
    (pod,) = pods(cluster, merged(ports, {"engine": {"name": "pycrdt"}}))
    without = "import sys; sys.modules['pycrdt'] = None; from peatd.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", without], env=dict(pod.environ), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the engine 'pycrdt' is not installed" in done.stderr


def test_a_store_of_a_newer_version(cluster: Cluster, ports: Json) -> None:
    (pod,) = pods(cluster, ports)
    pod.start().wait_ready().stop()
    with closing(sqlite3.connect(pod.directory / "peat.db")) as store:
        store.execute("UPDATE meta SET value = '999' WHERE name = 'schema'")
        store.commit()
    pod.start()
    assert pod.process is not None
    assert pod.process.wait(30) != 0
    assert "was written by a newer peatd" in pod.log()


def test_a_volume_that_is_full() -> None:
    """How a node bears it is tests/e2e/test_full_disk.py's; here are the words that it has for SQLite's."""
    with closing(sqlite3.connect(":memory:")) as full:
        full.execute("CREATE TABLE log (payload)")
        full.execute("PRAGMA max_page_count = 2")
        with pytest.raises(sqlite3.OperationalError) as error:
            full.execute("INSERT INTO log VALUES (zeroblob(100000))")
    assert "free space on its volume" in str(fault("write to", Path("/data/peat.db"), error.value))


def test_an_engine_that_is_killed(cluster: Cluster, ports: Json) -> None:
    (pod,) = pods(cluster, ports)
    pod.start().wait_ready()
    for pid in until(pod.engine_pids, "it has an engine"):
        os.kill(pid, signal.SIGKILL)
    until(lambda: pod.has_logged("engine.ended"), "it says so")
    pod.wait_ready()


def test_nodes_that_are_not_ready_and_then_stale(cluster: Cluster, ports: Json) -> None:
    (pod,) = pods(cluster, merged(ports, {"discovery": {"pollInterval": 1}}))
    cluster.server.verbs = set()
    pod.start()
    role = "the role must give verbs [list, watch] on resource endpointslices of API group discovery.k8s.io"
    until(lambda: role in why_not_ready(pod), "it names the role")
    cluster.allow(pod.objects)
    pod.wait_ready()
    assert "no peers yet" in shown_peers(pod)
    cluster.server.stop("rst")
    until(lambda: "kubernetes: stale since" in pod.ask("GET", "ready").body.decode(), "it says that it is stale")
    pod.stop()
    pod.start()
    until(lambda: "cannot list endpointslices" in why_not_ready(pod), "it cannot list")


def test_peers_that_do_not_link(cluster: Cluster, ports: Json) -> None:
    port = ports["mesh"]["port"]
    (ours,) = pods(cluster, ports)
    listing = {"discovery": {"mode": "static"}, "peers": [f"127.11.0.1:{port}", "127.0.0.1:1", "no.such.invalid:1"]}
    other_secret = {"formation": {"secret": "bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmU="}}
    (stranger,) = pods(cluster, merged(merged(ports, listing), other_secret), 1, release="stranger")
    cluster.directory /= "elsewhere"
    (twin,) = pods(cluster, merged(ports, listing), 2)
    for pod in (ours, stranger, twin):
        pod.start().wait_ready()
    for message in ("its certificate is not of our formation", "connection refused", "the name does not resolve"):
        until(lambda message=message: message in shown_peers(stranger), message)  # type: ignore[misc]
    for pod in (ours, twin):
        until(lambda pod=pod: pod.has_logged("two nodes with one node id"), "both say so")  # type: ignore[misc]


def test_a_pod_whose_key_is_revoked(cluster: Cluster, ports: Json) -> None:
    first, second = pods(cluster, merged(ports, {"replicaCount": 2}))
    up(first, second)
    command = ["peat", "node", "revoke", second.get("node")["device_id"]]
    subprocess.run(command, env=dict(first.environ), capture_output=True, check=True)
    until(lambda: "no peer links with it" in why_not_ready(second), "it is not ready, and says why")
    told = "was revoked: its node is let in with another one only"
    until(lambda: told in shown_peers(second) and told in shown_peers(first), "both say what that is about")


def test_a_secret_that_was_cut_short(cluster: Cluster, ports: Json) -> None:
    (pod,) = pods(cluster, ports)
    pod.start().wait_ready()
    Path(pod.environ["PEAT_FORMATION_SECRET_FILE"]).write_text("c2hvcnQ=\n")
    until(lambda: pod.has_logged("formation secret not reloaded"), "it says so")
    assert pod.ask("GET", "ready").status == 200


def test_a_peer_behind_a_wall(cluster: Cluster, ports: Json) -> None:
    """A listener whose backlog is full answers as little as a firewall that drops."""
    with contextlib.ExitStack() as open_:
        wall = open_.enter_context(socket.socket())
        wall.bind(("127.0.0.1", 0))
        wall.listen(0)
        for _ in range(3):
            waiting = open_.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(wall.getsockname())
        listing = {"discovery": {"mode": "static"}, "peers": [f"127.0.0.1:{wall.getsockname()[1]}"]}
        (pod,) = pods(cluster, merged(ports, listing))
        pod.start().wait_ready()
        until(lambda: "no answer within 5 s" in shown_peers(pod), "it has waited in vain")


def test_all_messages_of_the_guide_are_here() -> None:
    """Each stands in an assertion above; but one: for that these tests would have to run as nobody."""
    here = Path(__file__).read_text(encoding="utf-8")
    missing = {message for message in messages() if message not in here}
    assert missing == {"cannot use /data as data " + "directory: Permission denied"}
