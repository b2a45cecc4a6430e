"""What a node brings to TLS, and how it reads a peer's leaf."""

import os
import resource
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from fakes.links import OTHER_SECRET, SECRET, credentials
from fakes.strangers import EVE, own_authority, thieving_authority

from peatd.errors import HandshakeError
from peatd.papers.certificates import Authority, mint
from peatd.transport.tls import Credentials, order_papers


def contexts(of: Credentials) -> list[ssl.SSLContext]:
    return [*of.initiating_contexts, of.receiving_context]


def leaf_of(signed_by: Authority) -> bytes:
    pem = signed_by.mint_leaf(EVE.secret, EVE.device_id).certificate_pem
    return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)


def test_a_handshake_takes_no_descriptor_but_its_sockets() -> None:
    alice = credentials("alice")
    papers = mint(order_papers(alice.keypair, alice.formation))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        assert alice.receiving_context is alice.receiving_context
        assert alice.initiating_contexts is alice.initiating_contexts
        with pytest.raises(OSError, match="Too many open files"):
            Credentials(alice.keypair, alice.formation, papers)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_tls_1_3_with_certificates_on_both_sides() -> None:
    for context in contexts(credentials("alice", OTHER_SECRET, SECRET)):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_3
        assert context.verify_mode == ssl.CERT_REQUIRED


def test_no_tickets_for_a_resumed_session_shows_no_certificate() -> None:
    assert credentials("alice").receiving_context.num_tickets == 0


def test_it_trusts_the_authorities_of_all_accepted_secrets_and_no_others() -> None:
    for context in contexts(credentials("alice", OTHER_SECRET, SECRET)):
        assert context.cert_store_stats() == {"x509": 2, "crl": 0, "x509_ca": 2}


def test_no_descriptor_of_a_key_stays_open() -> None:
    before = os.listdir("/proc/self/fd")  # noqa: PTH208  # the listing itself has a descriptor, in both
    contexts(credentials("alice"))
    assert len(os.listdir("/proc/self/fd")) == len(before)  # noqa: PTH208


def test_a_leaf_names_its_key_and_the_secret_behind_it() -> None:
    alice = credentials("alice", OTHER_SECRET, SECRET)
    for index in (0, 1):
        vouched = alice.identify(leaf_of(Authority(alice.formation.ca_secrets[index])))
        assert vouched.device_id == EVE.device_id
        assert vouched.public_key == EVE.public_key
        assert vouched.secret_index == index


@pytest.mark.parametrize("leaf", [None, leaf_of(own_authority()), leaf_of(thieving_authority())])
def test_a_leaf_that_none_of_our_authorities_signed_is_refused(leaf: bytes | None) -> None:
    with pytest.raises(HandshakeError, match="not of our formation"):
        credentials("alice").identify(leaf)


def test_the_server_name_is_a_dns_name_however_many_secrets_there_are() -> None:
    name = credentials("alice", *(bytes([number]) * 32 for number in range(1, 30))).server_name
    assert len(name) <= 253
    assert all(0 < len(label) <= 63 for label in name.split("."))


def test_secrets_show_in_no_repr() -> None:
    alice = credentials("alice")
    assert repr(SECRET)[2:-1] not in repr(alice)
    assert SECRET.hex() not in repr(alice)
    assert alice.keypair.secret.hex() not in repr(alice)
