"""The proof, scripted: two honest ends, and every stranger that we could think of between them."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peatd.errors import HandshakeError
from peatd.names import DeviceId
from peatd.wire.handshake import ACCEPTED, NONCE_BYTES, Initiator, Parties, Receiver, transcript

KEY = b"k" * 32
ALICE, BOB, EVE = DeviceId("a1" * 16), DeviceId("b0" * 16), DeviceId("e5" * 16)
NA, NB = b"\xaa" * NONCE_BYTES, b"\xbb" * NONCE_BYTES


def ends(
    *,
    initiator: Parties | None = None,
    receiver: Parties | None = None,
    initiator_key: bytes = KEY,
    receiver_key: bytes = KEY,
) -> tuple[Initiator, Receiver]:
    both = Parties("peat", ALICE, BOB)
    return Initiator(initiator or both, initiator_key, NA), Receiver(receiver or both, receiver_key, NB)


def run(alice: Initiator, bob: Receiver) -> None:
    challenge = bob.receive(alice.opening)
    assert alice.receive(bob.receive(alice.receive(challenge))) == b""


def test_two_honest_ends_prove_themselves() -> None:
    alice, bob = ends()
    run(alice, bob)
    assert alice.wants == bob.wants == 0


def test_the_transcript_and_the_proofs_are_frozen() -> None:
    proven = transcript(Parties("peat", ALICE, BOB), NA, NB)
    assert proven.hex() == (
        "00000004" + b"peat".hex()
        + "00000020" + ALICE.encode().hex()
        + "00000020" + BOB.encode().hex()
        + "00000020" + "aa" * 32
        + "00000020" + "bb" * 32
    )  # fmt: skip
    alice, bob = ends()
    assert alice.opening == NA
    challenge = bob.receive(NA)
    assert challenge == NB + hmac.digest(KEY, b"R" + proven, "sha256")
    proof = alice.receive(challenge)
    assert proof == hmac.digest(KEY, b"I" + proven, "sha256")
    assert proof.hex() == "c50f034927a97fb52257fc3734e4f09df66729982bc004607a5c495d31d59968"
    assert bob.receive(proof) == ACCEPTED == b"\x01"


def test_fields_cannot_run_into_each_other() -> None:
    assert transcript(Parties("peat1", DeviceId("1"), BOB), NA, NB) != transcript(
        Parties("peat", DeviceId("11"), BOB), NA, NB
    )


def test_another_secret_is_found_out_by_the_initiator_first() -> None:
    alice, bob = ends(receiver_key=b"x" * 32)
    with pytest.raises(HandshakeError, match="formation secret"):
        alice.receive(bob.receive(alice.opening))


def test_an_initiator_that_goes_on_regardless_is_found_out_by_the_receiver() -> None:
    _, bob = ends()
    bob.receive(NA)
    with pytest.raises(HandshakeError) as caught:
        bob.receive(bytes(32))
    assert caught.value.code == "proof"
    assert bob.wants != 0


def test_another_formation_of_the_same_key_is_refused() -> None:
    alice, bob = ends(receiver=Parties("other", ALICE, BOB))
    with pytest.raises(HandshakeError):
        alice.receive(bob.receive(alice.opening))


@pytest.mark.parametrize(("initiator", "receiver"), [(EVE, BOB), (ALICE, EVE), (BOB, ALICE)])
def test_ids_that_the_channel_does_not_vouch_for_are_refused(initiator: DeviceId, receiver: DeviceId) -> None:
    alice, bob = ends(receiver=Parties("peat", initiator, receiver))
    with pytest.raises(HandshakeError):
        alice.receive(bob.receive(alice.opening))


def test_a_stranger_cannot_relay_the_receivers_proof() -> None:
    """Eve, who has a key and no secret, is dialled by alice and dials bob, and carries every byte across."""
    alice, _ = ends(initiator=Parties("peat", ALICE, EVE))
    _, bob = ends(receiver=Parties("peat", EVE, BOB))
    with pytest.raises(HandshakeError):
        alice.receive(bob.receive(alice.opening))


def test_a_stranger_cannot_relay_the_initiators_proof() -> None:
    """Eve has made alice prove herself to eve, with bob's nonce, and hands that to bob."""
    proof = hmac.digest(KEY, b"I" + transcript(Parties("peat", ALICE, EVE), NA, NB), "sha256")
    _, bob = ends(receiver=Parties("peat", EVE, BOB))
    bob.receive(NA)
    with pytest.raises(HandshakeError):
        bob.receive(proof)


def test_a_receiver_cannot_be_made_to_answer_itself() -> None:
    """Reflection: eve gives bob his own proof back; and opens a second channel to have him prove what he asks."""
    _, bob = ends()
    challenge = bob.receive(NA)
    with pytest.raises(HandshakeError):
        bob.receive(challenge[NONCE_BYTES:])
    _, again = ends()
    answer = again.receive(challenge[:NONCE_BYTES])
    with pytest.raises(HandshakeError):
        bob.receive(answer[NONCE_BYTES:])


def test_an_initiator_cannot_be_answered_with_itself() -> None:
    alice, _ = ends()
    with pytest.raises(HandshakeError):
        alice.receive(
            alice.opening + hmac.digest(KEY, b"I" + transcript(Parties("peat", ALICE, BOB), NA, NA), "sha256")
        )


def test_a_recorded_handshake_cannot_be_replayed() -> None:
    alice, bob = ends()
    challenge = bob.receive(alice.opening)
    proof = alice.receive(challenge)
    fresh_bob = Receiver(Parties("peat", ALICE, BOB), KEY, b"\xcc" * NONCE_BYTES)
    fresh_bob.receive(alice.opening)
    with pytest.raises(HandshakeError):
        fresh_bob.receive(proof)
    fresh_alice = Initiator(Parties("peat", ALICE, BOB), KEY, b"\xdd" * NONCE_BYTES)
    with pytest.raises(HandshakeError):
        fresh_alice.receive(challenge)


def test_a_node_may_prove_itself_to_itself() -> None:
    """Who dials its own address learns by HELLO's instance that it is itself; the proof is no place to fail."""
    own = Parties("peat", ALICE, ALICE)
    run(*ends(initiator=own, receiver=own))


def test_acceptance_is_one_certain_byte() -> None:
    alice, bob = ends()
    alice.receive(bob.receive(alice.opening))
    with pytest.raises(HandshakeError, match="did not accept"):
        alice.receive(b"\x00")


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_challenge_of_a_wrong_length_is_refused(length: int) -> None:
    alice, _ = ends()
    with pytest.raises(HandshakeError):
        alice.receive(bytes(length))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_an_opening_of_a_wrong_length_is_refused(length: int) -> None:
    _, bob = ends()
    with pytest.raises(HandshakeError):
        bob.receive(bytes(length))


def test_nothing_follows_the_end() -> None:
    alice, bob = ends()
    run(alice, bob)
    for end in (alice, bob):
        with pytest.raises(HandshakeError):
            end.receive(b"")


def test_a_short_nonce_is_our_own_fault() -> None:
    with pytest.raises(ValueError, match="nonce"):
        Initiator(Parties("peat", ALICE, BOB), KEY, b"short")


@given(st.binary(min_size=64, max_size=64), st.binary(min_size=32, max_size=32))
def test_guesses_prove_nothing(challenge: bytes, proof: bytes) -> None:
    alice, bob = ends()
    bob.receive(NA)
    for end, guess in ((alice, challenge), (bob, proof)):
        with pytest.raises(HandshakeError):
            end.receive(guess)
