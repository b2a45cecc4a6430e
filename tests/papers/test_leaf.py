"""A peer's leaf, read without `cryptography`: what that reads in it and nothing else."""

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fakes.links import SECRET
from hypothesis import given
from hypothesis import strategies as st

from peatd.identity import Keypair, has_signed
from peatd.papers.certificates import Authority
from peatd.papers.leaf import authority_tag, read_leaf

AUTHORITY_KEY = Keypair.from_secret(b"\x07" * 32)
AUTHORITY = Authority(AUTHORITY_KEY.secret)


def leaf_of(keypair: Keypair) -> bytes:
    lines = AUTHORITY.mint_leaf(keypair.secret, keypair.device_id).certificate_pem.decode().splitlines()
    return base64.b64decode("".join(lines[1:-1]))


ALICE = Keypair.from_seed(SECRET, "alice")
LEAF = leaf_of(ALICE)


@given(context=st.text(max_size=20))
def test_reads_what_another_library_reads(context: str) -> None:
    leaf = leaf_of(Keypair.from_seed(SECRET, context))
    certificate = x509.load_der_x509_certificate(leaf)
    read = read_leaf(leaf)
    assert read is not None
    assert certificate.public_key() == Ed25519PublicKey.from_public_bytes(read.public_key)
    assert read.signed == certificate.tbs_certificate_bytes
    assert read.signature == certificate.signature
    assert has_signed(AUTHORITY_KEY.public_key, read.signed, read.signature)


@pytest.mark.parametrize("size", range(len(LEAF)))
def test_a_part_of_a_leaf_is_none(size: int) -> None:
    assert read_leaf(LEAF[:size]) is None


@given(more=st.binary(min_size=1, max_size=8))
def test_a_leaf_has_nothing_behind_it(more: bytes) -> None:
    assert read_leaf(LEAF + more) is None


@given(data=st.data())
def test_a_leaf_that_was_touched_is_none_or_no_longer_signed(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(LEAF) - 1))
    end = data.draw(st.integers(start, min(start + 4, len(LEAF))))
    touched = LEAF[:start] + data.draw(st.binary(max_size=4)) + LEAF[end:]
    read = read_leaf(touched)
    if touched != LEAF and read is not None:
        assert not has_signed(AUTHORITY_KEY.public_key, read.signed, read.signature)


@pytest.mark.parametrize(
    ("length", "why"),
    [
        (bytes([0x80]), "of unknown length"),
        (bytes([0x83]) + len(LEAF[4:]).to_bytes(3), "longer than any of ours"),
        (bytes([0x82]) + (len(LEAF[4:]) + 1).to_bytes(2), "beyond its end"),
        (bytes([0x82]) + (len(LEAF[4:]) - 1).to_bytes(2), "short of its end"),
    ],
)
def test_lengths_have_their_one_form(length: bytes, why: str) -> None:
    assert read_leaf(LEAF[:1] + length + LEAF[4:]) is None, why


def test_a_short_length_in_a_long_form_is_refused() -> None:
    assert LEAF[-67:-64] == b"\x03\x41\x00"  # the signature's
    longer = LEAF[:-66] + b"\x81" + LEAF[-66:]
    assert read_leaf(longer[:2] + (len(LEAF[4:]) + 1).to_bytes(2) + longer[4:]) is None


def test_a_key_of_another_kind_is_refused() -> None:
    ed25519 = bytes.fromhex("300506032b6570032100") + ALICE.public_key
    x25519 = bytes.fromhex("300506032b656e032100") + ALICE.public_key
    assert LEAF.count(ed25519) == 1
    assert read_leaf(LEAF.replace(ed25519, x25519)) is None


def test_a_tag_fits_a_dns_label() -> None:
    tags = {authority_tag(bytes([number]) * 32) for number in range(20)}
    assert len(tags) == 20
    assert all(tag.isalnum() and len(tag) <= 63 for tag in tags)
