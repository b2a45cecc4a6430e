"""CAs and leaves: functions of keys, so each node makes the same ones, and valid whatever the clock says."""

import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import NameOID
from fakes.links import SECRET

from peatd.identity import Keypair
from peatd.papers import Order
from peatd.papers.certificates import Authority, mint

CA_SECRET = b"\x07" * 32
ALICE = Keypair.from_seed(SECRET, "alice")


def leaf(authority: Authority) -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority.mint_leaf(ALICE.secret, ALICE.device_id).certificate_pem)


def test_the_ca_is_a_function_of_its_secret() -> None:
    pem = Authority(CA_SECRET).certificate_pem
    assert pem == Authority(CA_SECRET).certificate_pem
    certificate = x509.load_pem_x509_certificate(pem)
    assert (
        hashlib.sha256(certificate.tbs_certificate_bytes).hexdigest()
        == "bc3bbf07f7383e7d1f36f92a9be982e2b8c0c3f91422890bbbf7758ee6ed6380"
    )


def test_the_leaf_is_a_function_of_ca_and_key() -> None:
    leaves = [Authority(CA_SECRET).mint_leaf(ALICE.secret, ALICE.device_id) for _ in range(2)]
    assert leaves[0] == leaves[1]


def test_the_leaf_carries_the_nodes_own_key_and_id() -> None:
    certificate = leaf(Authority(CA_SECRET))
    assert certificate.public_key() == Ed25519PublicKey.from_public_bytes(ALICE.public_key)
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == ALICE.device_id
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [f"{ALICE.device_id}.peat"]


def test_a_leaf_signs_no_leaves() -> None:
    constraints = leaf(Authority(CA_SECRET)).extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca


@pytest.mark.parametrize("which", ["ca", "leaf"])
def test_a_wrong_clock_does_not_matter(which: str) -> None:
    authority = Authority(CA_SECRET)
    certificate = leaf(authority) if which == "leaf" else x509.load_pem_x509_certificate(authority.certificate_pem)
    assert certificate.not_valid_before_utc.year == 1970
    assert certificate.not_valid_after_utc.year == 9999


def test_papers_are_minted_in_the_order_of_the_secrets() -> None:
    secrets = (CA_SECRET, b"\x08" * 32)
    papers = mint(Order(ALICE.secret, ALICE.device_id, secrets))
    assert [paper.authority_pem for paper in papers] == [Authority(secret).certificate_pem for secret in secrets]
    for paper in papers:
        authority = x509.load_pem_x509_certificate(paper.authority_pem)
        x509.load_pem_x509_certificate(paper.leaf.certificate_pem).verify_directly_issued_by(authority)


def test_two_secrets_have_two_names() -> None:
    certificates = [
        x509.load_pem_x509_certificate(Authority(bytes([number]) * 32).certificate_pem) for number in range(20)
    ]
    assert len({certificate.subject for certificate in certificates}) == 20
