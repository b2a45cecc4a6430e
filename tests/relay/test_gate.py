"""Who may ask what of a relay, and that nothing can be asked in another's name."""

import pytest
from msgspec.structs import replace

from peatd.errors import RelayError
from peatd.identity import Keypair
from peatd.relay.gate import Caller, Gate
from peatd.relay.protocol import FORBIDDEN, NAME, Op, Request, Signer, Voucher, signed_bytes

ALICE, MALLORY = Keypair.from_secret(b"\x01" * 32), Keypair.from_secret(b"\x0e" * 32)
OURS, NEW, THEIRS = (Keypair.from_secret(bytes([number]) * 32) for number in (2, 3, 4))
NONCE = b"n" * 32
TARGET = "ab" * 16


def gate(*names: str) -> Gate:
    return Gate(names or ("relay.example.org",), lambda: {OURS.public_key, NEW.public_key})


def request(op: Op = "dial", name: str = "relay.example.org:443", keypair: Keypair = ALICE, *by: Keypair) -> Request:
    return Signer(keypair, by or (OURS,)).request(op, TARGET, name, NONCE)


def refused(asked: Request, nonce: bytes = NONCE, local: str = "10.0.0.1") -> str:
    with pytest.raises(RelayError) as caught:
        gate().check(asked, nonce, local)
    return caught.value.code


def test_a_member_is_let_in_as_who_it_is() -> None:
    assert gate().check(request(), NONCE, "10.0.0.1") == Caller(ALICE.device_id, frozenset([OURS.public_key]))


def test_while_a_secret_is_rotated_a_node_is_of_both() -> None:
    asked = request("register", "relay.example.org:443", ALICE, NEW, THEIRS, OURS)
    assert gate().check(asked, NONCE, "").formations == {NEW.public_key, OURS.public_key}


def test_a_node_of_another_formation_is_refused() -> None:
    assert refused(request("dial", "relay.example.org:443", ALICE, THEIRS)) == FORBIDDEN


def test_a_node_of_no_formation_is_refused() -> None:
    assert refused(replace(request(), vouchers=[])) == FORBIDDEN


@pytest.mark.parametrize("name", ["relay.example.org:443", "RELAY.example.org.:1", "10.0.0.1:7000"])
def test_a_relay_goes_by_its_names_and_the_address_that_was_reached(name: str) -> None:
    gate().check(request("dial", name), NONCE, "10.0.0.1")


def test_an_address_is_the_same_however_it_is_written() -> None:
    asked = request("dial", "[2001:DB8:0:0::1]:7000")
    gate().check(asked, NONCE, "2001:db8::1")
    gate("2001:db8::0001").check(asked, NONCE, "10.0.0.1")


@pytest.mark.parametrize("name", ["other.example.org:443", "10.0.0.2:443", "", "relay.example.org", "\U0001f600:1"])
def test_what_was_signed_for_another_relay_is_refused(name: str) -> None:
    assert refused(request("dial", name)) == NAME


def test_what_was_signed_once_is_refused_at_the_next_challenge() -> None:
    assert refused(request(), nonce=b"m" * 32) == FORBIDDEN


@pytest.mark.parametrize("change", [{"op": "register"}, {"target": "cd" * 16}, {"name": "10.0.0.1:443"}])
def test_what_was_signed_for_one_thing_is_good_for_nothing_else(change: dict[str, str]) -> None:
    assert refused(replace(request(), **change)) == FORBIDDEN


def test_nobody_asks_as_another_node() -> None:
    """Mallory has Alice's public key, and is a member itself."""
    signed = signed_bytes("register", TARGET, "relay.example.org:443", NONCE, ALICE.public_key)
    voucher = Voucher(OURS.public_key, OURS.sign(signed))
    asked = replace(request("register"), signature=MALLORY.sign(signed), vouchers=[voucher])
    assert refused(asked) == FORBIDDEN


def test_a_voucher_is_for_one_node() -> None:
    """A stranger shows the voucher that it saw a member show."""
    asked = replace(Signer(MALLORY, ()).request("dial", TARGET, "relay.example.org:443", NONCE))
    assert refused(replace(asked, vouchers=request().vouchers)) == FORBIDDEN


def test_a_key_that_is_no_point_of_the_curve_is_refused() -> None:
    for key in (bytes(32), b"\xff" * 32, b"\x01" + bytes(31)):
        assert refused(replace(request(), public_key=key)) == FORBIDDEN


def test_a_node_whose_key_is_revoked_is_refused() -> None:
    closed = Gate(("relay.example.org",), lambda: [OURS.public_key], lambda device: device == ALICE.device_id)
    with pytest.raises(RelayError, match="revoked"):
        closed.check(request(), NONCE, "")
    closed.check(request("dial", "relay.example.org:443", MALLORY), NONCE, "")
