"""What the nodes of a formation derive from its secret, and which secrets are refused."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peatd.errors import ConfigError
from peatd.formation import Formation, new_formation_secret, parse_formation_secret
from peatd.identity import Keypair

VECTORS = json.loads((Path(__file__).parent / "vectors" / "formation.json").read_text())
OLD = base64.b64encode(b"o" * 32).decode()
NEW = base64.b64encode(b"n" * 32).decode()


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["name"])
def test_derived_keys_never_change(vector: dict[str, str]) -> None:
    formation = Formation(vector["name"], (bytes.fromhex(vector["secret"]),))
    assert formation.ca_secrets[0].hex() == vector["ca_secret"]
    assert formation.proof_key(0).hex() == vector["proof_key"]
    assert formation.client_token_key(0).hex() == vector["client_token_key"]
    assert formation.revocation_secret(0).hex() == vector["revocation_secret"]
    assert formation.relay_secret(0).hex() == vector["relay_secret"]
    assert formation.fingerprints == (vector["fingerprint"],)
    assert formation.discovery_hashes == (vector["discovery_hash"],)
    assert formation.notice_keys[0].hex() == vector["notice_key"]
    assert formation.client_token_keys()[0] == formation.client_token_key(0)


def test_every_purpose_secret_and_name_has_its_own_key() -> None:
    formations = [Formation(name, (b"o" * 32, b"n" * 32)) for name in ("peat", "peat2")]
    keys = [
        derive(index)
        for formation in formations
        for index in (0, 1)
        for derive in (
            formation.ca_secrets.__getitem__,
            formation.proof_key,
            formation.client_token_key,
            formation.relay_secret,
            formation.notice_keys.__getitem__,
        )
    ]
    assert len(set(keys)) == len(keys) == 20


@given(context=st.text(max_size=40))
def test_no_node_has_the_key_of_the_certificate_authority(context: str) -> None:
    purpose_and_name = "certificate authority\0peat"
    formation = Formation("peat", (b"o" * 32,))
    for node_id in (context, purpose_and_name):
        assert Keypair.from_seed(b"o" * 32, node_id).secret != formation.ca_secrets[0]


def test_repr_hides_the_secrets() -> None:
    formation = Formation("peat", (b"very secret bytes",))
    assert "secret" not in repr(formation).removeprefix("Formation")
    assert "peat" in repr(formation)


@pytest.mark.parametrize("name", ["", "x" * 254])
def test_a_name_that_hello_cannot_carry_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="--formation"):
        Formation(name, (bytes(32),))


def test_a_formation_has_a_secret() -> None:
    with pytest.raises(ConfigError, match="peat secret new"):
        Formation("peat", ())


def test_a_new_secret_is_accepted_and_new() -> None:
    text = new_formation_secret()
    (secret,) = parse_formation_secret(text, "test")
    assert len(secret) == 32
    assert text != new_formation_secret()


@pytest.mark.parametrize(
    "text",
    [f"{NEW}\n{OLD}", f"{NEW}\n{OLD}\n", f"  {NEW}\t\r\n\r\n{OLD}\r\n", f"\n{NEW}\n{OLD}\n{NEW}\n"],
    ids=["plain", "trailing newline", "windows", "repeated"],
)
def test_several_lines_are_several_secrets_the_first_is_used(text: str) -> None:
    assert parse_formation_secret(text, "test") == (b"n" * 32, b"o" * 32)


def test_the_shortest_secret_has_16_bytes() -> None:
    assert parse_formation_secret(base64.b64encode(bytes(16)).decode(), "test") == (bytes(16),)


@pytest.mark.parametrize("text", ["", "\n", "  \n\t\n"])
def test_an_empty_secret_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^PEAT_FORMATION_SECRET: .* is empty.*peat secret new"):
        parse_formation_secret(text, "PEAT_FORMATION_SECRET")


@pytest.mark.parametrize(
    "line",
    [
        "hunter2-hunter2-hunter2-hunter2",
        NEW[:-1],
        NEW[:8] + " " + NEW[8:],
        NEW[:-1] + "==",
        "b\xe9" * 20,
        "\ufeff" + NEW,
    ],
    ids=["words", "no padding", "a space inside", "too much padding", "not ascii", "byte order mark"],
)
def test_what_is_not_base64_is_refused_by_line_and_never_shown(line: str) -> None:
    with pytest.raises(ConfigError, match=r"^/etc/secret, line 2: .* not base64") as caught:
        parse_formation_secret(f"{OLD}\n{line}\n", "/etc/secret")
    assert line not in str(caught.value)
    assert line[:6] not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [1, 15])
def test_a_short_secret_is_refused_by_line_and_never_shown(size: int) -> None:
    short = base64.b64encode(b"x" * size).decode()
    with pytest.raises(ConfigError, match=f"^/etc/secret, line 1: .* has {size} bytes, at least 16") as caught:
        parse_formation_secret(short, "/etc/secret")
    assert short not in str(caught.value)


@given(text=st.text(max_size=200))
def test_whatever_the_text_it_is_secrets_or_a_config_error(text: str) -> None:
    try:
        found = parse_formation_secret(text, "here")
    except ConfigError:
        return
    assert found
    assert all(len(secret) >= 16 for secret in found)
