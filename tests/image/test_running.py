"""The image at work as a pod of Kubernetes' restricted profile: first process, not root, nothing to write but /data."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from image import readme
from image.builder import Image
from image.container import PATIENCE, Container, until, volume

from peatd.formation import new_formation_secret

RUNTIME_FILES = ("api.sock", "api.token", "node.json")
UID = 65532

Start = Callable[..., Container]


def listening(container: Container) -> set[str]:
    """TCP ports in its network: `address:port` in the kernel's notation, IPv4."""
    rows = [line.split() for line in Path(f"/proc/{container.pid}/net/tcp").read_text().splitlines()[1:]]
    return {row[1] for row in rows if row[3] == "0A"}


def port(address: str, number: int) -> str:
    return "".join(f"{int(part):02X}" for part in reversed(address.split("."))) + f":{number:04X}"


def test_the_readme_tells_how_to_run_it(container: Start) -> None:
    run, (name, *command) = readme.docker_run(), readme.docker("exec")
    assert (run.hostname, run.volumes, run.is_restricted, name) == (run.name, [f"{run.name}:/data"], True, run.name)
    node = container(run.name, *run.arguments, environ=run.environ)
    until(lambda: node.hears(signal.SIGTERM), "it has been started")
    asked = node.run(*command)
    assert (asked.code, asked.stdout) == (0, "ready\n"), asked.stderr


def test_it_runs_as_the_manifests_have_it(container: Start, image: Image, tmp_path: Path) -> None:
    """All but the API server: there is none here to ask."""
    text = (readme.CHECKOUT / "deploy/kubernetes/statefulset.yaml").read_text(encoding="utf-8")
    pod = yaml.safe_load(text)["spec"]["template"]["spec"]
    (described,) = pod["containers"]
    assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" == image.config["User"]
    assert {f"{port['containerPort']}/tcp" for port in described["ports"]} <= set(image.config["ExposedPorts"])
    places = {mount["name"]: mount["mountPath"] for mount in described["volumeMounts"]}
    assert places["data"] in image.config["Volumes"]
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "formation-secret").write_text(new_formation_secret())
    os.chown(secret / "formation-secret", 0, pod["securityContext"]["fsGroup"])
    (secret / "formation-secret").chmod(pod["volumes"][0]["secret"]["defaultMode"])
    environ = {variable["name"]: variable["value"] for variable in described["env"]}
    environ |= {"PEAT_DISCOVERY": "none", "KUBERNETES_SERVICE_HOST": "192.0.2.1"}
    mounts = {places["formation-secret"]: secret}
    node = container("peat-mesh-0", *described.get("args", []), environ=environ, mounts=mounts).wait_ready()
    assert listening(node) == {port("0.0.0.0", one["containerPort"]) for one in described["ports"]}
    assert node.stop(PATIENCE + float(environ["PEAT_DRAIN_DELAY"])) == 0


def test_it_becomes_ready_as_nobody_in_particular(container: Start) -> None:
    alice = container("alice").wait_ready()
    status = alice.status()
    assert status["NSpid"].split()[-1] == "1"
    assert status["Uid"].split() == status["Gid"].split() == [str(UID)] * 4
    assert status["CapEff"] == status["CapBnd"] == "0" * 16
    assert status["NoNewPrivs"] == "1"
    stated = json.loads((alice.data / "node.json").read_text())
    assert (stated["node_id"], stated["pid"]) == ("alice", 1)


def test_nothing_but_the_data_can_be_written(container: Start) -> None:
    alice = container("alice").wait_ready()
    found = alice.run("find", "/", "-xdev", "-writable").stdout.splitlines()
    assert [path for path in found if path != "/data" and not path.startswith("/data/")] == []
    assert "/data" in found
    assert alice.run("sh", "-c", "> /opt/peat/x").code != 0
    assert "Traceback" not in alice.log()


def test_its_ports_are_those_that_are_configured(container: Start) -> None:
    alice = container("alice").wait_ready()
    assert listening(alice) == {port("127.0.0.1", 8081), port("0.0.0.0", 11204)}
    bob = container("bob", environ={"PEAT_API_BIND": "0.0.0.0:8081", "PEAT_BIND": "0.0.0.0:11205"}).wait_ready()
    assert listening(bob) == {port("0.0.0.0", 8081), port("0.0.0.0", 11205)}


def test_the_health_check_says_no_when_nobody_is_there(container: Start, image: Image) -> None:
    _, *command = image.config["Healthcheck"]["Test"]
    probe = container("alice", entrypoint=command)
    assert probe.wait(PATIENCE) == 3, probe.log()


def test_no_zombie_stays(container: Start) -> None:
    alice = container("alice").wait_ready()
    for _ in range(3):
        (engine,) = until(lambda: [pid for pid, state in alice.children().items() if state != "Z"], "the engine is up")
        assert alice.run("sh", "-c", "true & sleep 0 & exit 0").code == 0
        os.kill(engine, signal.SIGKILL)
        until(lambda killed=engine: killed not in alice.children(), "the killed one is gone")  # type: ignore[misc]
        assert alice.run("peat", "docs", "put", "notes/a", "{}").code == 0
    until(lambda: len(alice.children()) == 1, "the engine is its only child")
    assert alice.run("peat", "ready").stdout == "ready\n"


@pytest.mark.parametrize("engine", ["y-py", "pycrdt"])
def test_it_stops_in_order_and_finds_its_documents_again(container: Start, engine: str) -> None:
    first = container("alice", "--engine", engine).wait_ready()
    put = first.run("peat", "docs", "put", "notes/today", '{"title": "Groceries"}')
    assert put.code == 0, put.stderr
    device = json.loads((first.data / "node.json").read_text())["device_id"]
    assert first.stop(PATIENCE) == 0
    assert [name for name in RUNTIME_FILES if (first.data / name).exists()] == []
    again = container("alice", "--engine", engine).wait_ready()
    assert json.loads(again.run("peat", "docs", "get", "notes/today").stdout) == {"title": "Groceries"}
    assert json.loads((again.data / "node.json").read_text())["device_id"] == device


def test_a_signal_while_it_starts_is_heard(container: Start) -> None:
    """The kernel keeps from a first process each signal that it does not catch."""
    alice = container("alice")
    until(lambda: alice.hears(signal.SIGTERM), "it has started")
    os.kill(alice.pid, signal.SIGTERM)
    assert alice.wait(PATIENCE) == 0, alice.log()


def test_in_a_cluster_it_wants_a_secret(container: Start) -> None:
    alice = container("alice", environ={"KUBERNETES_SERVICE_HOST": "192.0.2.1"})
    assert alice.wait(PATIENCE) == 2
    (line,) = alice.log().splitlines()
    assert line.startswith("peatd: ")
    assert "secret" in line


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_a_volume_that_is_not_its_own_is_one_clear_line(
    container: Start, image: Image, tmp_path: Path, mode: int
) -> None:
    data = volume(image, tmp_path / "foreign")
    shutil.chown(data, "root", "root")
    data.chmod(mode)
    for environ in ({}, {"PEAT_FORMATION_SECRET": new_formation_secret()}):
        alice = container(f"alice-{len(environ)}", data=data, environ=environ)
        assert alice.wait(PATIENCE) == 2
        (line,) = alice.log().splitlines()
        assert line.startswith("peatd: ")
        assert "/data" in line
        assert "Permission denied" in line


def test_a_volume_that_kubernetes_gave_to_its_group(container: Start, image: Image, tmp_path: Path) -> None:
    """With `fsGroup` the kubelet makes the whole volume the group's to read and write, again at each start."""
    data = volume(image, tmp_path / "claim")
    os.chown(data, 0, UID)
    data.chmod(0o2775)
    secret = tmp_path / "secret"
    secret.write_text(new_formation_secret())
    given = {"environ": {"PEAT_FORMATION_SECRET_FILE": "/run/secret"}, "mounts": {"/run/secret": secret}}
    first = container("peat-mesh-0", data=data, **given).wait_ready()
    assert first.run("peat", "docs", "put", "notes/a", '{"n": 1}').code == 0
    assert first.stop(PATIENCE) == 0
    for path in data.rglob("*"):
        os.chown(path, -1, UID)
        path.chmod(path.stat().st_mode | 0o660)
    again = container("peat-mesh-0", data=data, **given).wait_ready()
    assert json.loads(again.run("peat", "docs", "get", "notes/a").stdout) == {"n": 1}
    assert again.stop(PATIENCE) == 0


def test_two_of_them_are_a_mesh(container: Start, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(new_formation_secret())
    given = {"PEAT_FORMATION_SECRET_FILE": "/run/secret"}
    alice = container("alice", environ=given, mounts={"/run/secret": secret}).wait_ready()
    away = {"PEAT_BIND": "127.0.0.1:11205", "PEAT_API_BIND": "127.0.0.1:8091", "PEAT_STATIC_PEERS": "127.0.0.1:11204"}
    bob = container("bob", environ=given | away, mounts={"/run/secret": secret}, joined=alice).wait_ready()
    put = bob.run("peat", "docs", "put", "notes/today", '{"title": "Groceries"}', "--ack", "replicated:1")
    assert put.code == 0, put.stderr
    assert json.loads(alice.run("peat", "docs", "get", "notes/today").stdout) == {"title": "Groceries"}
    assert bob.stop(PATIENCE) == 0
    assert alice.stop(PATIENCE) == 0
