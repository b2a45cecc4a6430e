"""`peat node`, `peers`, `topology`, `version`: as text for people, as JSON for programs."""

import json
import re

import pytest
from fakes.node_api import FakeNode, peer
from run_peat import Peat

from cli.drawing import draw
from cli.picture import Link, Member, Topology
from peatd import __version__

LINKS = [
    {"from": "peat-mesh-0", "to": "peat-mesh-1", "rtt_ms": 12.34},
    {"from": "peat-mesh-1", "to": "peat\x1b", "rtt_ms": None},
]
MEMBERS = [
    {"id": "peat-mesh-0", "device_id": "00", "state": "self", "unreachable_secs": None},
    {"id": "peat-mesh-1", "device_id": "11", "state": "reachable", "unreachable_secs": None},
    {"id": "peat-mesh-2", "device_id": "22", "state": "unreachable", "unreachable_secs": 130.0},
]


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
        "relay            https://relay.example.org backing-off for 3 s: refused",
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
        via=None,
    )
    node.peers = [peer("peat-mesh-1", future="field"), stranded]
    heading, linked, backing_off = peat("peers").out.splitlines()
    assert [cell.strip() for cell in heading.split("  ") if cell] == [
        "ID",
        "DEVICE ID",
        "STATE",
        "SOURCE",
        "ADDRESS",
        "VIA",
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
        "direct",
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


def test_the_members_of_a_mesh(peat: Peat, node: FakeNode) -> None:
    node.links = LINKS
    node.members = MEMBERS
    assert peat("topology").out.splitlines()[4:8] == [
        "MEMBER       DEVICE ID  STATE        UNREACHABLE SINCE",
        "peat-mesh-0  00         self         -",
        "peat-mesh-1  11         reachable    -",
        "peat-mesh-2  22         unreachable  2 min ago",
    ]
    assert json.loads(peat("topology", "--json").out)["members"] == MEMBERS


def test_the_mesh_for_graphviz(peat: Peat, node: FakeNode) -> None:
    node.links = LINKS
    node.members = MEMBERS
    assert peat("topology", "--dot").out.splitlines() == [
        "graph peat {",
        '  "peat-mesh-0" [style=filled];',
        '  "peat-mesh-1";',
        '  "peat-mesh-2" [style=dashed];',
        '  "peat-mesh-0" -- "peat-mesh-1" [label="12.3 ms"];',
        '  "peat-mesh-1" -- "peat\\u001b" ;'.replace(" ;", ";"),
        "}",
    ]
    refused = peat("topology", "--dot", "--json")
    assert (refused.code, refused.out) == (2, "")


def test_a_mesh_is_drawn_as_a_tree_of_ways(node: FakeNode) -> None:
    found = Topology(
        2,
        "member",
        0,
        [Link("a", "b", 1.5), Link("a", "c", None), Link("b", "c", 2.0), Link("c", "d\x1b", 3.0)],
        [
            Member("a", "00", "self", None),
            *(Member(name, "11", "reachable", None) for name in ("b", "c", "d\x1b")),
            Member("e", "22", "unreachable", 130.0),
            Member("f", "33", "left", None),
        ],
    )
    drawn = re.sub(r"\x1b\[[0-9;]*m", "", draw(found))
    assert [line.rstrip() for line in drawn.splitlines()] == [
        "a  this node",
        "├── b  1.5 ms  also linked: c",
        "└── c  also linked: b",
        "    └── d\\x1b  3 ms",
        "out of reach",
        "├── e  since 2 min",
        "└── f  left",
    ]


def test_what_a_peer_says_cannot_steer_the_terminal(peat: Peat, node: FakeNode) -> None:
    node.peers = [peer("peat-mesh-1", error="\x1b[2Jgone\r\nforged line")]
    out = peat("peers").out
    assert "\\x1b[2Jgone\\r\\nforged line" in out
    assert len(out.splitlines()) == 2


def test_version_asks_nobody(peat: Peat) -> None:
    assert peat("version").out == f"peat {__version__}\n"
    assert json.loads(peat("version", "--json").out) == {"version": __version__}
