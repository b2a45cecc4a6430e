"""Those who are not of the formation, at the port of the mesh: none gets in, and nobody inside notices."""

import contextlib
import http.client
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from e2e.nodes import PATIENCE, Formation, Node, formation_in, until, wait_equal
from fakes.strangers import context, own_authority, thieving_authority

SILENT = 200


def dial(node: Node) -> socket.socket:
    host, _, port = node.mesh.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def hear_all(stream: socket.socket) -> bytes:
    """All that comes until the other end closes, however it does that."""
    heard = b""
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        while octets := stream.recv(65536):
            heard += octets
    return heard


def say_in_tls(node: Node, tls: ssl.SSLContext, what: bytes) -> bytes:
    """What a node answers in TLS to one who says this at once."""
    with contextlib.suppress(ssl.SSLError, ConnectionError), dial(node) as raw, tls.wrap_socket(raw) as stream:
        stream.sendall(what)
        return hear_all(stream)
    return b""


def say(node: Node, what: bytes) -> bytes:
    with dial(node) as stream:
        stream.sendall(what)
        return hear_all(stream)


def probe(node: Node) -> int:
    """What a kubelet sees."""
    connection = http.client.HTTPConnection(node.stated()["api"], timeout=20)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status
    finally:
        connection.close()


def links(node: Node, names: set[str]) -> tuple[int, dict[str, str]]:
    """How many links with these it has lost so far, and who they are. Guests of earlier tests may still be leaving."""
    lost = [event for event in node.events() if event["event"] == "peer unlinked" and event["peer"] in names]
    return len(lost), {name: peer["device_id"] for name, peer in node.peers().items() if name in names}


@pytest.fixture
def unmoved(three: list[Node]) -> Iterator[list[Node]]:
    """Three nodes whose links must outlive the test."""
    names = {node.name for node in three}
    before = [links(node, names) for node in three]
    yield three
    assert [links(node, names) for node in three] == before
    assert [probe(node) for node in three] == [200] * 3
    three[0].write("PUT", "outside/a", {"n": 1}, "?ack=replicated:2")
    wait_equal(three, "outside/a")


CLIENT = ssl.PROTOCOL_TLS_CLIENT
STRANGERS: dict[str, Callable[[Node], bytes]] = {
    "no-certificate": lambda node: say_in_tls(node, context(CLIENT), b"x" * 32),
    "self-signed": lambda node: say_in_tls(node, context(CLIENT, own_authority()), b"x" * 32),
    "stolen-name": lambda node: say_in_tls(node, context(CLIENT, thieving_authority()), b"x" * 32),
    "no-alpn": lambda node: say_in_tls(node, context(CLIENT, alpn=()), b"x" * 32),
    "tls-1.2": lambda node: say_in_tls(node, context(CLIENT, version=ssl.TLSVersion.TLSv1_2), b"x" * 32),
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_stranger_in_tls_hears_nothing_of_ours(unmoved: list[Node], stranger: str) -> None:
    assert [STRANGERS[stranger](node) for node in unmoved] == [b""] * 3


@pytest.mark.parametrize(
    "octets",
    [
        b"GET /api/v1/ready HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\xff\xff" + b"\x00" * 70_000,
        b"SSH-2.0-x\r\n",
    ],
    ids=["http", "huge-record", "ssh"],
)
def test_what_is_not_tls_is_hung_up_on(unmoved: list[Node], octets: bytes) -> None:
    for node in unmoved:
        answer = say(node, octets)
        assert len(answer) < 16  # at most an alert of TLS
        assert b"HTTP" not in answer


def test_silent_connections_disturb_nobody(unmoved: list[Node]) -> None:
    alice = unmoved[0]
    with contextlib.ExitStack() as held:
        silent = [held.enter_context(dial(alice)) for _ in range(SILENT)]
        silent[0].sendall(b"\x00")  # nearly silent
        assert probe(alice) == 200
        alice.write("PUT", "outside/busy", {"n": 1}, "?ack=replicated:2")
        for connection in silent:  # turned away at once, or when their ten seconds are over
            connection.settimeout(PATIENCE)
            assert hear_all(connection) == b""
    assert alice.has_logged("handshake failed")
    assert len([event for event in alice.events() if event["event"] == "handshake failed"]) < 40


def test_nodes_of_another_formation_stay_outside(unmoved: list[Node], tmp_path: Path) -> None:
    alice, bob, _ = unmoved
    with formation_in(tmp_path) as others:
        mallory = others.node("mallory", peers=[f"alice@{alice.mesh}", bob.mesh]).start().wait_ready()
        until(lambda: all(peer["error"] for peer in mallory.peers().values()), "mallory says why")
        assert mallory.linked() == set()
        assert "mallory" not in alice.peers().keys() | bob.peers().keys()
        assert {peer["state"] for peer in mallory.peers().values()} <= {"backing-off", "dialing"}


def test_a_formation_of_another_name_stays_outside_too(unmoved: list[Node], formation: Formation) -> None:
    alice = unmoved[0]
    formation.secret_file.write_text(
        Path(alice.arguments[alice.arguments.index("--formation-secret-file") + 1]).read_text()
    )
    mallory = formation.node("mallory", "--formation", "other", peers=[alice.mesh]).start().wait_ready()
    until(lambda: all(peer["error"] for peer in mallory.peers().values()), "mallory says why")
    assert mallory.linked() == set()
    assert "mallory" not in alice.peers()
