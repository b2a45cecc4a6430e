"""`peat keygen`: the same key as the daemon's, without ever showing the secret."""

import base64
import json
import stat
from pathlib import Path

import pytest
from run_peat import Peat

from peatd.identity import Keypair, endpoint_id
from peatd.keyfile import load_keypair

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "identity.json").read_text())
VECTOR = VECTORS["vectors"][0]
RAW = bytes(range(200, 232))
AS_BASE64 = base64.b64encode(RAW)


@pytest.fixture
def seed_file(tmp_path: Path) -> Path:
    path = tmp_path / "seed"
    path.write_text(VECTOR["seed_utf8"])
    return path


def test_a_seed_file_gives_upstreams_ids(peat: Peat, seed_file: Path) -> None:
    ended = peat("keygen", "--seed-file", str(seed_file), "--context", VECTOR["context"], "--json")
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out) == {
        "node_id": VECTOR["context"],
        "device_id": VECTOR["device_id"],
        "public_key": VECTOR["public"],
        "endpoint_id": endpoint_id(VECTOR["seed_utf8"].encode(), VECTOR["context"]),
    }


def test_as_text_it_is_a_fact_per_line(peat: Peat, seed_file: Path) -> None:
    ended = peat("keygen", "--seed-file", str(seed_file), "--context", "peat-mesh-0")
    endpoint = endpoint_id(VECTOR["seed_utf8"].encode(), "peat-mesh-0")
    assert ended.out.splitlines() == [
        "node id      peat-mesh-0",
        f"device id    {VECTOR['device_id']}",
        f"public key   {VECTOR['public']}",
        f"endpoint id  {endpoint}",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--seed-file", "--context", "peat-mesh-0"),
        ("--context", "peat-mesh-0", "--seed-file"),
        ("--context=peat-mesh-0", "--seed-file", "--json"),
    ],
    ids=["before an option", "at the end", "before --json"],
)
def test_without_a_path_it_is_the_formations_secret_file(
    peat: Peat, seed_file: Path, arguments: tuple[str, ...]
) -> None:
    ended = peat("keygen", *arguments, PEAT_FORMATION_SECRET_FILE=str(seed_file))
    assert ended.code == 0
    assert VECTOR["device_id"] in ended.out


def test_without_path_and_variable_it_is_the_mounted_secret(peat: Peat) -> None:
    ended = peat("keygen", "--seed-file", "--context", "peat-mesh-0", PEAT_FORMATION_SECRET_FILE="")
    assert ended.code == 2
    assert "/var/run/secrets/peat/formation-secret: No such file" in ended.err


@pytest.mark.parametrize("form", ["--seed-file={}", "--seed-file {}"])
def test_a_path_may_follow_in_either_form(peat: Peat, seed_file: Path, form: str) -> None:
    ended = peat("keygen", *form.format(seed_file).split(), "--context", "peat-mesh-0")
    assert VECTOR["device_id"] in ended.out


@pytest.mark.parametrize("arguments", [("--seed-file", "-"), ("--seed-file=-",)])
def test_a_dash_is_stdin(peat: Peat, arguments: tuple[str, ...]) -> None:
    ended = peat("keygen", *arguments, "--context", "peat-mesh-0", stdin=VECTOR["seed_utf8"].encode())
    assert VECTOR["device_id"] in ended.out


def test_the_context_is_by_default_that_of_a_daemon_started_here(peat: Peat, seed_file: Path) -> None:
    assert "peat-mesh-7" in peat("keygen", "--seed-file", str(seed_file)).out
    assert "edge-1" in peat("keygen", "--seed-file", str(seed_file), PEAT_NODE_ID="edge-1").out


def test_bytes_are_taken_as_they_are(peat: Peat) -> None:
    seed = b"\xff\x00binary\n"
    ended = peat("keygen", "--seed-file", "-", "--context", "alice", stdin=seed)
    assert Keypair.from_seed(seed, "alice").device_id in ended.out


def test_base64_is_decoded_only_when_asked_for(peat: Peat) -> None:
    plain = peat("keygen", "--seed-file", "-", "--context", "alice", stdin=AS_BASE64)
    decoded = peat("keygen", "--seed-file", "-", "--context", "alice", "--base64", stdin=AS_BASE64 + b"\n")
    assert Keypair.from_seed(AS_BASE64, "alice").device_id in plain.out
    assert Keypair.from_seed(RAW, "alice").device_id in decoded.out
    assert "add --base64" in plain.err
    assert decoded.err == ""


def test_of_several_secrets_the_first_is_used(peat: Peat) -> None:
    lines = AS_BASE64 + b"\n" + base64.b64encode(b"o" * 32) + b"\n"
    ended = peat("keygen", "--seed-file", "-", "--context", "alice", "--base64", stdin=lines)
    assert Keypair.from_seed(RAW, "alice").device_id in ended.out


@pytest.mark.parametrize("content", [b"", b"\n", b" \t\r\n"])
@pytest.mark.parametrize("extra", [(), ("--base64",)])
def test_an_empty_seed_is_refused(peat: Peat, content: bytes, extra: tuple[str, ...]) -> None:
    ended = peat("keygen", "--seed-file", "-", *extra, stdin=content)
    assert (ended.code, ended.out) == (2, "")
    assert "stdin is empty" in ended.err


@pytest.mark.parametrize("content", [b"hunter2 hunter2 hunter2", b"c2hvcnQ=", b"\xff\xfe\x00"])
def test_what_the_daemon_would_refuse_base64_refuses_and_never_shows(peat: Peat, content: bytes) -> None:
    ended = peat("keygen", "--seed-file", "-", "--base64", stdin=content)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("peat: stdin, line 1: ")
    assert content.decode("latin-1") not in ended.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--seed-file", "/nonexistent/seed"), "No such file"),
        (("--seed-file", "/"), "Is a directory"),
        (("--seed-file", ""), "--seed-file is empty"),
        (("--seed-file="), "--seed-file is empty"),
        (("--base64",), "--seed-file"),
        (("--context", ""), "--context is empty"),
        (("--seed-file", "/dev/zero"), "more than 1048576 bytes"),
        (("--out",), "requires an argument"),
    ],
)
def test_wrong_usage_is_2_and_says_what_to_do(peat: Peat, arguments: tuple[str, ...] | str, told: str) -> None:
    ended = peat("keygen", *((arguments,) if isinstance(arguments, str) else arguments))
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err


def test_out_keeps_the_secret_for_its_owner_alone(peat: Peat, seed_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "node.key"
    ended = peat("keygen", "--seed-file", str(seed_file), "--context", "peat-mesh-0", "--out", str(out))
    assert ended.code == 0
    assert out.read_bytes().hex() == VECTOR["secret"]
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert VECTOR["secret"] not in ended.out + ended.err


def test_out_never_overwrites(peat: Peat, tmp_path: Path) -> None:
    out = tmp_path / "node.key"
    out.write_bytes(b"precious")
    ended = peat("keygen", "--out", str(out))
    assert (ended.code, ended.out) == (2, "")
    assert "never overwritten" in ended.err
    assert out.read_bytes() == b"precious"


def test_without_a_seed_the_key_is_new_and_has_no_endpoint(peat: Peat, tmp_path: Path) -> None:
    out = tmp_path / "node.key"
    found = json.loads(peat("keygen", "--out", str(out), "--json").out)
    assert found["device_id"] == load_keypair(out).device_id
    assert found["node_id"] == "peat-mesh-7"
    assert found["endpoint_id"] is None
    assert json.loads(peat("keygen", "--json").out)["device_id"] != found["device_id"]


def test_a_new_key_that_is_not_kept_is_remarked_upon(peat: Peat) -> None:
    ended = peat("keygen")
    assert ended.code == 0
    assert "--out" in ended.err
    assert "endpoint id  -" in ended.out
