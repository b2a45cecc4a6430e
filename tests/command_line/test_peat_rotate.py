"""`peat secret rotate` and `peat node revoke`: what is asked of which node, and when it goes no further."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.node_api import FakeNode, peer, serve
from run_peat import Peat

from peatd.formation import Formation

OLD = b"o" * 32
(OLD_NAME,) = Formation("peat", (OLD,)).fingerprints


@pytest.fixture
def other(tmp_path: Path) -> Iterator[FakeNode]:
    directory = tmp_path / "other"
    directory.mkdir()
    with serve(FakeNode(), directory) as served:
        yield served


@pytest.fixture
def new(peat: Peat, tmp_path: Path) -> tuple[str, str]:
    """The file of a new secret, and its fingerprint."""
    file = str(tmp_path / "new")
    peat("secret", "new", "--out", file)
    return file, peat("secret", "fingerprint", "--seed-file", file).out.strip()


def steps(node: FakeNode) -> list[str]:
    return [json.loads(one.body)["step"] for one in node.requests if one.method == "POST"]


def test_the_walk_goes_through_all_nodes_step_by_step(
    peat: Peat, node: FakeNode, other: FakeNode, tmp_path: Path
) -> None:
    ended = peat("secret", "rotate", "--also", str(tmp_path / "other"), "--json")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert told["steps"] == ["install", "use", "remove"]
    assert steps(node) == steps(other) == ["install", "use", "remove"]
    assert node.custody.formation.secrets == other.custody.formation.secrets != (OLD,)
    assert list(node.custody.formation.fingerprints) == [told["fingerprint"]]
    assert ended.err.count("accepts") == 4


def test_nobody_goes_on_while_a_peer_is_behind(peat: Peat, node: FakeNode, new: tuple[str, str]) -> None:
    node.peers = [peer("peat-mesh-1", secrets=[OLD_NAME]), peer("peat-mesh-2", secrets=[OLD_NAME], revoked=True)]
    ended = peat("secret", "rotate", "--secret-file", new[0], "--timeout", "0")
    assert (ended.code, ended.out) == (1, "")
    assert "peat-mesh-1 did not accept" in ended.err
    assert "peat-mesh-2" not in ended.err
    assert f"--fingerprint {new[1]}" in ended.err
    assert steps(node) == ["install"]
    node.peers = [peer("peat-mesh-1", secrets=[new[1], OLD_NAME])]
    ended = peat("secret", "rotate", "--fingerprint", new[1], "--timeout", "0")
    assert (ended.code, steps(node)) == (1, ["install", "use", "remove"])
    assert "peat-mesh-1 did not remove the old secret" in ended.err
    node.peers = [peer("peat-mesh-1", secrets=[new[1]])]
    ended = peat("secret", "rotate", "--fingerprint", new[1], "--timeout", "0")
    assert (ended.code, ended.out) == (0, f"rotated to {new[1]}\n")


def test_a_peer_that_uses_the_old_one_still_is_waited_for(peat: Peat, node: FakeNode, new: tuple[str, str]) -> None:
    node.peers = [peer("peat-mesh-1", secrets=[OLD_NAME, new[1]])]
    ended = peat("secret", "rotate", "--secret-file", new[0], "--timeout", "0")
    assert ended.code == 1
    assert "peat-mesh-1 did not use" in ended.err
    assert steps(node) == ["install", "use"]


def test_where_one_node_cannot_write_nothing_is_begun(
    peat: Peat, node: FakeNode, other: FakeNode, tmp_path: Path
) -> None:
    other.custody.fixed = "it is mounted by Kubernetes: change the Secret"
    ended = peat("secret", "rotate", "--also", f"unix:{tmp_path / 'other' / 'api.sock'}")
    assert (ended.code, ended.out) == (1, "")
    assert "change the Secret" in ended.err
    assert steps(node) == steps(other) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--step", "install"),
        ("--step", "use"),
        ("--step", "install", "--fingerprint", OLD_NAME),
        ("--step", "jump"),
        ("--secret-file", "/nowhere"),
        ("--secret-file", "-", "--fingerprint", OLD_NAME),
        ("--secret-file", "-"),
        ("--timeout", "nan"),
    ],
)
def test_what_makes_no_sense_is_2(peat: Peat, node: FakeNode, arguments: tuple[str, ...]) -> None:
    ended = peat("secret", "rotate", *arguments, stdin=b"not a secret")
    assert (ended.code, ended.out) == (2, "")
    assert "not a secret" not in ended.err
    assert steps(node) == []


def test_status_shows_who_accepts_what(peat: Peat, node: FakeNode) -> None:
    node.peers = [peer("peat-mesh-1", secrets=[OLD_NAME]), peer("peat-mesh-2")]
    ended = peat("secret", "status")
    assert [line.split() for line in ended.out.splitlines()] == [
        ["ID", "STATE", "ACCEPTS"],
        ["peat-mesh-0", "this", "node", OLD_NAME],
        ["peat-mesh-1", "linked", OLD_NAME],
        ["peat-mesh-2", "linked", "-"],
    ]
    node.custody.fixed = "it is mounted"
    assert peat("secret", "status").err == "peat: it is mounted\n"


def test_a_fingerprint_tells_nothing_of_the_secret(peat: Peat, new: tuple[str, str]) -> None:
    content = Path(new[0]).read_text().strip()
    ended = peat("secret", "fingerprint", "--seed-file", new[0], "--json")
    assert json.loads(ended.out) == {"secrets": [new[1]]}
    assert content[:8] not in ended.out
    assert peat("secret", "fingerprint", "--seed-file", new[0], "--formation", "other").out.strip() != new[1]


def test_a_public_key_will_do(peat: Peat, node: FakeNode) -> None:
    key = "4d28a621fd5e29f728db5bd0a30b04d60c2cbcd9168c45a14afdfd652740dbb9"
    ended = peat("node", "revoke", key.upper())
    assert ended.code == 0
    assert list(node.custody.revoked) == ["dd8bee9a97c7384d26559b05dd8bb87e"]
    assert "peat secret rotate" in ended.err


@pytest.mark.parametrize("arguments", [(), ("--list", "ee" * 16), ("peat-mesh-1",), ("ee" * 15,), ("zz" * 16,)])
def test_whose_key_has_to_be_said(peat: Peat, node: FakeNode, arguments: tuple[str, ...]) -> None:
    ended = peat("node", "revoke", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert node.custody.revoked == {}


def test_a_list_with_a_moment_that_no_calendar_has(peat: Peat, node: FakeNode) -> None:
    node.custody.revoked["ee" * 16] = {"device_id": "ee" * 16, "revoked_at": 2**60, "issuer": "dd" * 16}
    assert str(2**60) in peat("node", "revoke", "--list").out
    node.custody.revoked.clear()
    assert peat("node", "revoke", "--list").out == "no keys are revoked\n"
