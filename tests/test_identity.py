"""Who a node is: bit for bit what peat-mesh derives."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from peatd.identity import Keypair, device_id, endpoint_id

VECTORS = json.loads((Path(__file__).parent / "vectors" / "identity.json").read_text())


def seed_of(vector: dict[str, str]) -> bytes:
    return bytes.fromhex(vector["seed_hex"]) if "seed_hex" in vector else vector["seed_utf8"].encode()


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["context"])
def test_a_seed_and_a_context_give_upstreams_key(vector: dict[str, str]) -> None:
    keypair = Keypair.from_seed(seed_of(vector), vector["context"])
    assert keypair.secret.hex() == vector["secret"]
    assert keypair.public_key.hex() == vector["public"]
    assert keypair.device_id == vector["device_id"]
    assert device_id(keypair.public_key) == vector["device_id"]


def test_signatures_are_upstreams() -> None:
    vector = VECTORS["vectors"][0]
    keypair = Keypair.from_seed(seed_of(vector), vector["context"])
    assert keypair.sign(b"hello kubernetes").hex() == vector["signature_of_hello_kubernetes"]


@pytest.mark.parametrize("vector", VECTORS["iroh"], ids=lambda vector: vector["node_id"])
def test_the_endpoint_id_is_upstreams(vector: dict[str, str]) -> None:
    assert endpoint_id(seed_of(vector), vector["node_id"]) == vector["endpoint_id"]


def test_the_endpoint_has_a_key_of_its_own() -> None:
    seed = bytes(32)
    assert endpoint_id(seed, "peat-mesh-0") != Keypair.from_seed(seed, "peat-mesh-0").public_key.hex()


@given(seed=st.binary(max_size=64), context=st.text(max_size=64))
def test_a_key_survives_as_its_secret(seed: bytes, context: str) -> None:
    keypair = Keypair.from_seed(seed, context)
    assert Keypair.from_secret(keypair.secret).public_key == keypair.public_key


@given(message=st.binary(max_size=256))
def test_another_library_accepts_our_signatures(message: bytes) -> None:
    keypair = Keypair.from_seed(b"formation", "alice")
    Ed25519PublicKey.from_public_bytes(keypair.public_key).verify(keypair.sign(message), message)


def test_generated_keys_differ() -> None:
    assert Keypair.generate().public_key != Keypair.generate().public_key


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_secret_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"not {size}"):
        Keypair.from_secret(bytes(size))


def test_repr_shows_the_device_id_and_not_the_secret() -> None:
    keypair = Keypair.from_seed(b"formation", "alice")
    for shown in (repr(keypair), str(keypair), f"{keypair}"):
        assert keypair.device_id in shown
        assert keypair.secret.hex() not in shown
        assert repr(keypair.secret) not in shown
