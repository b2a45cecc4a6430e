"""`peat` and nodes that are real: every verb, its exit code, and what `--json` prints."""

import json
import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from e2e.nodes import Formation, Node, until

from peatd.formation import parse_formation_secret


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def peat(directory: Path, *arguments: str, stdin: str = "", **environ: str) -> Ended:
    """Runs the installed command, told of a data directory."""
    program = shutil.which("peat")
    assert program is not None
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory.parent), "PEAT_DATA_DIR": str(directory)} | environ
    run = subprocess.run(
        [program, *arguments], input=stdin, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in run.stderr, run.stderr
    return Ended(run.returncode, run.stdout, run.stderr)


def test_ready_node_peers_and_topology(three: list[Node]) -> None:
    alice = three[0]
    ready = peat(alice.directory, "ready")
    assert (ready.code, ready.out, ready.err) == (0, "ready\n", "")
    assert peat(alice.directory, "ready", "--json").json == alice.get("ready")
    by_tcp = peat(alice.directory.parent, "ready", "--api", f"http://{alice.stated()['api']}")
    assert (by_tcp.code, by_tcp.out) == (0, "ready\n")

    node = peat(alice.directory, "node", "--json").json
    assert node["node_id"] == "alice"
    assert {
        "device_id",
        "public_key",
        "formation",
        "uptime_secs",
        "version",
        "addresses",
        "documents",
        "digest",
    } < node.keys()
    assert node["addresses"]["mesh"] == alice.mesh == alice.stated()["mesh"]
    assert node["device_id"] in peat(alice.directory, "node").out

    peers = peat(alice.directory, "peers", "--json").json
    assert (peers["count"], [peer["id"] for peer in peers["peers"]]) == (2, ["bob", "carol"])
    assert {peer["state"] for peer in peers["peers"]} == {"linked"}
    table = peat(alice.directory, "peers").out
    assert re.search(r"^bob +\S+ +linked ", table, re.MULTILINE)

    until(lambda: len(alice.get("topology")["links"]) == 3, "alice knows of the link between the others")
    topology = peat(alice.directory, "topology", "--json").json
    assert topology["peer_count"] == 2
    links = [(link["from"], link["to"]) for link in topology["links"]]
    assert sorted(links[:2]) + links[2:] == [("alice", "bob"), ("alice", "carol"), ("bob", "carol")]
    assert {member["id"]: member["state"] for member in topology["members"]} == {
        "alice": "self",
        "bob": "reachable",
        "carol": "reachable",
    }
    assert '"bob" -- "carol"' in peat(alice.directory, "topology", "--dot").out
    assert "carol" in peat(alice.directory, "topology").out
    assert peat(alice.directory, "version").out.startswith("peat ")


def test_where_a_node_is_stands_in_its_data_directory(three: list[Node]) -> None:
    alice = three[0]
    stated = alice.stated()
    assert stated.keys() == {"node_id", "device_id", "api", "mesh", "clients", "relay", "pid"}
    assert (stated["node_id"], stated["pid"], stated["clients"]) == ("alice", alice.pid, None)
    modes = {name: (alice.directory / name).stat().st_mode & 0o777 for name in ("node.json", "api.sock", "api.token")}
    assert modes == {"node.json": 0o644, "api.sock": 0o600, "api.token": 0o600}
    assert all(event["level"] in ("info", "warning") for event in alice.events())


def test_the_life_of_a_document(three: list[Node]) -> None:
    alice, bob, _ = three
    made = peat(alice.directory, "docs", "put", "cli/a", '{"n": 1, "deep": {"x": 1}}', "--ack", "replicated:2")
    assert (made.code, made.out) == (0, "created cli/a, incarnation 1, replicated:2\n")
    assert peat(bob.directory, "docs", "patch", "cli/a", "-", "--ack", "replicated:2", stdin='{"n": null}').code == 0
    read = peat(alice.directory, "docs", "get", "cli/a", "--etag")
    assert (read.code, read.json) == (0, {"deep": {"x": 1}})
    shown = peat(alice.directory, "docs", "get", "cli/a", "--json").json
    assert shown == {"collection": "cli", "id": "a", "incarnation": 1, "document": {"deep": {"x": 1}}}
    listed = peat(alice.directory, "docs", "list", "cli", "--json").json
    assert [(one["name"], one["incarnation"]) for one in listed["documents"]] == [("cli/a", 1)]

    version = re.search(r"version (\S+);", read.err)
    assert version is not None
    etag = version[1].strip('"')
    assert peat(bob.directory, "docs", "patch", "cli/a", '{"m": 1}', "--if-match", etag).code == 0
    late = peat(bob.directory, "docs", "patch", "cli/a", '{"m": 2}', "--if-match", etag)
    assert (late.code, late.out) == (1, "")
    assert "changed" in late.err
    gone = peat(alice.directory, "docs", "delete", "cli/a", "--ack", "replicated:2")
    assert (gone.code, gone.out) == (0, "deleted cli/a\n")
    missing = peat(bob.directory, "docs", "get", "cli/a")
    assert (missing.code, missing.out) == (1, "")
    assert "cli/a" in missing.err


def test_refusals_and_failures_have_their_codes(three: list[Node], tmp_path: Path) -> None:
    alice = three[0]
    assert peat(alice.directory, "docs", "delete", "cli/nowhere").code == 1
    assert peat(alice.directory, "docs", "put", "cli/x", "no json").code == 2
    assert peat(alice.directory, "docs", "put", "no-slash", "{}").code == 2
    assert peat(alice.directory, "docs", "put", "cli/x", "{}", "--ack", "hoped").code == 2
    assert peat(alice.directory, "sing").code == 2
    unreached = peat(alice.directory, "docs", "put", "cli/x", "{}", "--ack", "replicated:9", "--timeout", "2")
    assert (unreached.code, unreached.out) == (4, "")
    assert "reached: replicated:2" in unreached.err
    url = f"http://{alice.stated()['api']}"
    assert peat(tmp_path / "empty", "node", "--api", url).code == 1, "no token"
    token = str(alice.directory / "api.token")
    assert peat(tmp_path / "empty", "node", "--api", url, "--token-file", token).code == 0
    assert peat(tmp_path / "empty", "node", "--api", "http://127.0.0.1:1").code == 3
    assert peat(tmp_path / "empty", "peers", "--api", f"unix:{tmp_path}/none.sock").code == 3


def test_ready_waits_says_why_not_and_that_nobody_answers(formation: Formation, tmp_path: Path) -> None:
    alice, bob = formation.mesh("alice", "bob")
    assert peat(alice.directory, "ready", "--api", f"unix:{alice.directory}/api.sock").code == 3
    alice.start()
    waited = peat(alice.directory, "ready", "--wait", "30")
    assert (waited.code, waited.out) == (0, "ready\n")
    bob.start().wait_ready()
    until(lambda: alice.linked() == {"bob"}, "linked")
    bob.send_signal(signal.SIGSTOP)  # so that leaving takes alice a moment
    alice.write("PUT", "cli/a", {"x": "x" * 200_000})
    alice.send_signal(signal.SIGTERM)
    until(lambda: alice.has_logged("node stopping"), "it stops")
    refused = peat(alice.directory, "ready")
    assert refused.code in (1, 3)
    if refused.code == 1:
        assert "shutting down" in refused.err
    bob.send_signal(signal.SIGCONT)
    alice.wait_stopped()
    assert peat(alice.directory, "ready", "--wait", "0.3", "--api", f"unix:{alice.directory}/api.sock").code == 3


def test_the_documented_ways_to_a_key_lead_to_the_daemons(formation: Formation) -> None:
    alice = formation.node("alice").start().wait_ready()
    node = alice.get("node")
    derived = peat(
        alice.directory,
        *("keygen", "--json", "--base64", "--context", "alice", "--seed-file", str(formation.secret_file)),
    ).json
    assert {name: derived[name] for name in ("node_id", "device_id", "public_key")} == {
        name: node[name] for name in ("node_id", "device_id", "public_key")
    }
    alice.stop()
    key = formation.directory / "own.key"
    made = peat(alice.directory, "keygen", "--context", "alice", "--out", str(key), "--json").json
    alice.arguments = [*alice.arguments, "--key-file", str(key)]
    alice.start().wait_ready()
    assert alice.get("node")["device_id"] == made["device_id"] != node["device_id"]
    assert peat(alice.directory, "keygen", "--out", str(key)).code != 0, "never over a file"


def test_a_new_secret_makes_a_formation(formation: Formation) -> None:
    formation.secret_file.unlink()
    made = peat(formation.directory, "secret", "new", "--out", str(formation.secret_file))
    assert (made.code, made.out) == (0, f"{formation.secret_file}\n")
    assert len(parse_formation_secret(formation.secret_file.read_text(), "")[0]) == 32
    nodes = formation.mesh("alice", "bob")
    for node in nodes:
        node.start()
    until(lambda: nodes[0].wait_ready().linked() == {"bob"}, "they meet")


def test_a_node_without_a_secret_makes_one_that_another_can_join_with(formation: Formation) -> None:
    alice = formation.node("alice")
    at = alice.arguments.index("--formation-secret-file")
    alice.arguments = [*alice.arguments[:at], *alice.arguments[at + 2 :]]
    alice.start().wait_ready()
    (said,) = (event for event in alice.events() if event["event"] == "formation secret made")
    secret = Path(said["file"])
    assert secret.stat().st_mode & 0o777 == 0o600
    assert secret.read_text().strip() not in alice.log()
    formation.secret_file.write_text(secret.read_text())
    bob = formation.node("bob", peers=[alice.mesh]).start().wait_ready()
    until(lambda: bob.linked() == {"alice"}, "bob has joined")
    alice.stop()
    alice.start().wait_ready()
    until(lambda: bob.linked() == {"alice"}, "it is the same formation after a restart")


@pytest.mark.parametrize("engine", ["y-py", "pycrdt"])
def test_either_engine_says_the_same(three: list[Node], formation: Formation, engine: str) -> None:
    formation.secret_file.write_text(Path(secret_file_of(three[0])).read_text())
    dora = formation.node(f"dora-{engine}", "--engine", engine, peers=[three[0].mesh]).start().wait_ready()
    until(lambda: "alice" in dora.linked(), "linked")
    name = f"engines/{engine}"
    dora.write("PUT", name, {"a": {"b": [1, 2.5, None, "é😀"]}, "big": 2**53 - 1}, "?ack=replicated:1")
    three[0].write("PATCH", name, {"a": {"c": True}})
    expected = {"a": {"b": [1, 2.5, None, "é😀"], "c": True}, "big": 2**53 - 1}
    until(lambda: dora.document(name) == expected, "both have both")
    assert three[0].document(name) == expected
    assert dora.ask("GET", f"documents/{name}").etag == three[0].ask("GET", f"documents/{name}").etag
    dora.stop()


def secret_file_of(node: Node) -> str:
    return node.arguments[node.arguments.index("--formation-secret-file") + 1]
