"""The formation secret is exchanged, and a key revoked, on nodes that run and are written to: nothing acknowledged is
lost, nobody is left behind, and whoever shall be out is out."""

import itertools
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from e2e.nodes import Formation, Node, bare_environ, until, up, wait_linked
from e2e.writers import Writer, check_all_there, wait_acknowledged, writing

from peatd.formation import Formation as Secrets
from peatd.formation import format_formation_secret, new_formation_secret, parse_formation_secret

LONGEST_GAP = 5.0
"""Seconds without a link between two nodes that is still but a redial: on two busy cores, where minting a certificate
takes half of one. A rotation that loses its links to a backoff takes longer."""

OUT_WITHIN = 5.0
"""Seconds until a revoked node is out everywhere, by contract."""

BUSY = 4
"""So many times as long either may take beside other tests; `--long` has the machine to itself."""


@pytest.fixture
def slack(*, is_long: bool) -> float:
    return 1 if is_long else BUSY


def peat(node: Node, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("peat")
    assert program is not None
    environ = bare_environ(node.directory.parent)
    command = [program, *arguments, "--data-dir", str(node.directory)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)


def fingerprint(text: str) -> str:
    return Secrets("peat", parse_formation_secret(text, "test")).fingerprints[0]


def secrets(node: Node) -> list[str]:
    return list(node.get("node")["secrets"])


def device_ids(nodes: Sequence[Node]) -> set[str]:
    return {str(node.get("node")["device_id"]) for node in nodes}


def with_own_secrets(formation: Formation, *names: str) -> list[Node]:
    """Nodes each of which has its own copy of the secret, as on machines of their own."""
    nodes = formation.mesh(*names)
    for node in nodes:
        own = formation.directory / f"{node.name}.secret"
        shutil.copyfile(formation.secret_file, own)
        node.arguments = [str(own) if word == str(formation.secret_file) else word for word in node.arguments]
    return nodes


class Gaps(threading.Thread):
    """Watches how long each node is without a link to each other."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        super().__init__(daemon=True)
        self.longest = 0.0
        self.stopped = threading.Event()
        self._nodes = nodes

    def run(self) -> None:
        since = dict.fromkeys(itertools.permutations([node.name for node in self._nodes], 2), time.monotonic())
        while not self.stopped.is_set():
            for node in self._nodes:
                try:
                    linked = node.linked()
                except OSError:  # it was too busy to answer: what it would have said counts when it does
                    continue
                now = time.monotonic()
                for one, other in since:
                    if one == node.name and other in linked:
                        since[one, other] = now
                self.longest = max(self.longest, *(now - then for (one, _), then in since.items() if one == node.name))
            self.stopped.wait(0.02)


@contextmanager
def under_writes(nodes: Sequence[Node]) -> Iterator[tuple[list[Writer], Gaps]]:
    gaps = Gaps(nodes)
    nodes[0].write("PUT", "rotated/all", {"nested": {}}, f"?ack=replicated:{len(nodes) - 1}")
    with writing(nodes, per_node=1, shared="rotated/all") as writers:
        wait_acknowledged(writers, 5)
        gaps.start()
        yield writers, gaps
        wait_acknowledged(writers, 5)
        gaps.stopped.set()
        gaps.join(30)


def test_a_file_that_is_changed_in_three_steps_rotates_the_secret(formation: Formation, slack: float) -> None:
    nodes = formation.mesh("alice", "bob", "carol")
    up(*nodes)
    old, new = formation.secret_file.read_text(), f"{new_formation_secret()}\n"
    before = device_ids(nodes)
    with under_writes(nodes) as (writers, gaps):
        for text, is_told in ((old + new, False), (new + old, True), (new, True)):
            expected = [fingerprint(line) for line in text.split()]
            draft = formation.directory / "draft"
            draft.write_text(text)
            os.replace(draft, formation.secret_file)  # noqa: PTH105
            if is_told:
                for node in nodes:
                    node.send_signal(signal.SIGHUP)
            until(lambda want=expected: all(secrets(node) == want for node in nodes), "all have done the step")  # type: ignore[misc]
            until(
                lambda want=expected: all(  # type: ignore[misc]
                    peer["secrets"] == want and peer["connected"] for node in nodes for peer in node.peers().values()
                ),
                "all know of each other that they have",
            )
            wait_acknowledged(writers, 3)
    check_all_there(nodes, writers)
    assert gaps.longest < LONGEST_GAP * slack
    assert not before & device_ids(nodes), "who has the old secret can derive the old keys"
    assert {node.stated()["device_id"] for node in nodes} == device_ids(nodes)
    for node in nodes:
        assert not node.has_logged("two nodes with one node id")
        metrics = node.ask("GET", "/metrics").body.decode()
        assert f'peat_formation_secret_info{{fingerprint="{fingerprint(new)}",use="first"}} 1.0' in metrics
        assert "peat_peers_without_secret 0.0" in metrics

    formation.secret_file = formation.directory / "stolen"  # of nodes that are made from now on
    formation.secret_file.write_text(old)
    thief = formation.node("mallory", peers=[node.mesh for node in nodes]).start().wait_ready()
    until(lambda: all(peer["error"] for peer in thief.peers().values()), "who has the old secret is refused")
    assert thief.linked() == set()
    assert all("mallory" not in node.peers() for node in nodes)


def test_the_command_walks_nodes_with_files_of_their_own(formation: Formation, slack: float) -> None:
    nodes = alice, bob, carol = with_own_secrets(formation, "alice", "bob", "carol")
    up(*nodes)
    old = secrets(alice)
    with under_writes(nodes) as (writers, gaps):
        stalled = peat(alice, "secret", "rotate", "--timeout", "0.5")
        assert stalled.returncode == 1
        assert "bob, carol did not accept" in stalled.stderr
        new = secrets(alice)[1]
        (text,) = [
            line for line in (formation.directory / "alice.secret").read_text().split() if fingerprint(line) == new
        ]
        (formation.directory / "new").write_text(text)
        also = [word for node in (bob, carol) for word in ("--also", str(node.directory))]
        refused = peat(alice, "secret", "rotate", "--step", "use", "--fingerprint", new)
        assert refused.returncode == 0, refused.stderr
        refused = peat(alice, "secret", "rotate", "--step", "remove", "--fingerprint", new)
        assert refused.returncode == 1
        assert "bob, carol would be left behind" in refused.stderr
        walked = peat(alice, "secret", "rotate", "--secret-file", str(formation.directory / "new"), *also)
        assert walked.returncode == 0, walked.stderr
    assert all(secrets(node) == [new] for node in nodes)
    assert new not in old
    wait_linked(*nodes)
    check_all_there(nodes, writers)
    assert gaps.longest < LONGEST_GAP * slack
    for node in nodes:
        assert (formation.directory / f"{node.name}.secret").read_text() == format_formation_secret(
            parse_formation_secret(text, "test")
        )
    carol.stop()
    carol.start().wait_ready()
    wait_linked(*nodes)


def test_a_revoked_node_is_out_everywhere_at_once_and_for_good(formation: Formation, slack: float) -> None:
    nodes = alice, bob, carol = formation.mesh("alice", "bob", "carol")
    dave = formation.node("dave", peers=[f"alice@{alice.mesh}", f"carol@{carol.mesh}"])
    up(*nodes)
    dave.start().wait_ready()
    wait_linked(alice, dave)
    wait_linked(carol, dave)
    dave.stop()  # he is away, and hears of it later
    device_id = str(carol.get("node")["device_id"])
    with under_writes([alice, bob]) as (writers, gaps):
        with writing([carol], per_node=1, shared="revoked/all") as of_carol:
            wait_acknowledged(of_carol, 5)
            began = time.monotonic()
            revoked = peat(alice, "node", "revoke", device_id)
            assert (revoked.returncode, revoked.stdout) == (0, f"revoked {device_id}\n")
            until(lambda: alice.linked() == {"bob"}, "she is out at alice's", within=OUT_WITHIN * slack)
            until(lambda: bob.linked() == {"alice"}, "and at bob's", within=OUT_WITHIN * slack)
            until(lambda: carol.linked() == set(), "and is alone", within=OUT_WITHIN * slack)
            assert time.monotonic() - began < OUT_WITHIN * slack
        wait_acknowledged(writers, 10)
    assert gaps.longest < LONGEST_GAP * slack
    check_all_there([alice, bob], writers)
    for node in (alice, bob):
        until(lambda node=node: node.peers()["carol"]["revoked"], "it is shown")  # type: ignore[misc]
        assert device_id in (node.peers()["carol"]["error"] or "")
        assert node.has_logged("key revoked")
        assert "peat_revoked_keys 1.0" in node.ask("GET", "/metrics").body.decode()
    until(lambda: carol.ask("GET", "ready").status == 503, "she is not ready, so that nobody is sent to her")
    assert "revoked" in peat(carol, "ready").stderr

    carol.write("PUT", "revoked/alone", {"n": 1})
    for node in (alice, bob, carol):
        node.stop()
    for node in (bob, carol, dave):  # dave knew her as a peer, and bob alone has the list
        node.start()
    for node in (bob, dave):
        node.wait_ready()
    alice.start().wait_ready()
    wait_linked(alice, dave)
    until(lambda: dave.get("revocations")["count"] == 1, "who was away hears of it")
    until(lambda: dave.linked() == {"alice"}, "and lets her go")
    until(lambda: carol.linked() == set(), "she stays alone")
    listed = peat(bob, "node", "revoke", "--list").stdout
    assert device_id in listed
    assert alice.ask("GET", "documents/revoked/alone").status == 404

    # With another key she is another node, and gets in: that is why the secret is rotated, too.
    carol.stop()
    key = formation.directory / "key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    carol.arguments = [*carol.arguments, "--key-file", str(key)]
    carol.start().wait_ready()
    wait_linked(alice, bob, carol)
    until(lambda: alice.ask("GET", "documents/revoked/alone").status == 200, "with what she wrote alone")


def test_a_rotation_without_the_revoked_node_keeps_it_out(formation: Formation) -> None:
    """It may make itself another key; it does not get the new secret."""
    nodes = alice, bob, carol = with_own_secrets(formation, "alice", "bob", "carol")
    up(*nodes)
    assert peat(alice, "node", "revoke", str(carol.get("node")["device_id"])).returncode == 0
    until(lambda: carol.linked() == set(), "she is out")
    walked = peat(alice, "secret", "rotate", "--also", str(bob.directory))
    assert walked.returncode == 0, walked.stderr
    wait_linked(alice, bob)
    assert len(secrets(carol)) == 1
    assert secrets(carol) != secrets(alice)
    carol.stop()
    key = formation.directory / "key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    carol.arguments = [*carol.arguments, "--key-file", str(key)]
    carol.start().wait_ready()
    until(lambda: all(peer["error"] for peer in carol.peers().values()), "her other key is of no use")
    assert carol.linked() == set()
    assert alice.linked() == {"bob"}

    shutil.copyfile(formation.directory / "alice.secret", formation.directory / "carol.secret")
    carol.send_signal(signal.SIGHUP)
    wait_linked(*nodes)  # who was left behind is given the secret, and is not even restarted
