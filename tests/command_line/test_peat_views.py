"""`peat node`, `peers`, `topology`, `version`: as text for people, as JSON for programs."""

import json

import pytest
from fakes.node_api import FakeNode, peer
from run_peat import Peat

from peatd import __version__


@pytest.mark.parametrize("verb", ["node", "peers", "topology"])
def test_json_is_the_apis_body_unchanged(peat: Peat, node: FakeNode, verb: str) -> None:
    node.peers = [peer("peat-mesh-1", future="field")]
    node.canned[f"/api/v1/{verb}"] = (200, b'{ "spaces" :  1.0 }')
    ended = peat(verb, "--json")
    assert (ended.code, ended.out, ended.err) == (0, '{ "spaces" :  1.0 }\n', "")


def test_node_as_text(peat: Peat, node: FakeNode) -> None:
    assert node.socket
    assert peat("node").out.splitlines() == [
        "node id          peat-mesh-0",
        "device id        dd8bee9a97c7384d26559b05dd8bb87e",
        "public key       4d28a621fd5e29f728db5bd0a30b04d60c2cbcd9168c45a14afdfd652740dbb9",
        "formation        peat",
        f"secrets          {node.custody.formation.fingerprints[0]}",
        "version          0.1.0",
        "up               1 h 2 min",
        "documents        0",
        "digest           00000000000000000000000000000000",
        "listens api      127.0.0.1:8081",
        "listens mesh     0.0.0.0:11204",
        "listens clients  -",
    ]


def test_peers_as_text(peat: Peat, node: FakeNode) -> None:
    stranded = peer(
        "10.0.0.9:11204",
        device_id=None,
        connected=False,
        state="backing-off",
        rtt_ms=None,
        source=None,
        addresses=["10.0.0.9:11204", "[fd00::9]:11204"],
        last_sync_secs=None,
        owed_documents=12,
        error="connection refused",
    )
    node.peers = [peer("peat-mesh-1", future="field"), stranded]
    heading, linked, backing_off = peat("peers").out.splitlines()
    assert [cell.strip() for cell in heading.split("  ") if cell] == [
        "ID",
        "DEVICE ID",
        "STATE",
        "SOURCE",
        "ADDRESS",
        "RTT",
        "LAST SYNC",
        "OWED",
        "LAST ERROR",
    ]
    assert [cell.strip() for cell in linked.split("  ") if cell] == [
        "peat-mesh-1",
        "dd8bee9a97c7384d26559b05dd8bb87e",
        "linked",
        "kubernetes",
        "10.0.0.7:11204",
        "420 us",
        "3 s ago",
        "0",
        "-",
    ]
    assert [cell.strip() for cell in backing_off.split("  ") if cell] == [
        "10.0.0.9:11204",
        "-",
        "backing-off",
        "-",
        "10.0.0.9:11204, [fd00::9]:11204",
        "-",
        "never",
        "12",
        "connection refused",
    ]


def test_a_node_alone(peat: Peat, node: FakeNode) -> None:
    assert node.peers == []
    assert peat("peers").out == "no peers yet\n"
    assert peat("topology").out == "peers            0\nrole             member\nhierarchy level  0\n"


def test_topology_as_text(peat: Peat, node: FakeNode) -> None:
    node.links = [
        {"from": "peat-mesh-0", "to": "peat-mesh-1", "rtt_ms": 12.34},
        {"from": "peat-mesh-1", "to": "peat-mesh-2", "rtt_ms": None},
    ]
    assert peat("topology").out.splitlines()[3:] == [
        "",
        "FROM         TO           RTT",
        "peat-mesh-0  peat-mesh-1  12.3 ms",
        "peat-mesh-1  peat-mesh-2  -",
    ]


def test_what_a_peer_says_cannot_steer_the_terminal(peat: Peat, node: FakeNode) -> None:
    node.peers = [peer("peat-mesh-1", error="\x1b[2Jgone\r\nforged line")]
    out = peat("peers").out
    assert "\\x1b[2Jgone\\r\\nforged line" in out
    assert len(out.splitlines()) == 2


def test_version_asks_nobody(peat: Peat) -> None:
    assert peat("version").out == f"peat {__version__}\n"
    assert json.loads(peat("version", "--json").out) == {"version": __version__}
