"""The list of revoked keys: it only grows, and takes nothing that no member has signed."""

import itertools
from dataclasses import replace

import pytest

from peatd import revocations
from peatd.errors import RevocationForged, RevocationsFull
from peatd.formation import Formation
from peatd.names import DeviceId, Fingerprint
from peatd.revocations import Revocation, Revocations, sign, verify

OLD, NEW = b"o" * 32, b"n" * 32
PEAT = Formation("peat", (OLD, NEW))
BY_OLD, BY_NEW = PEAT.fingerprints
ALICE, BOB, CAROL = (DeviceId(two * 16) for two in ("aa", "bb", "cc"))


def entry(device_id: DeviceId, by: Fingerprint = BY_OLD) -> Revocation:
    return sign(Revocation(device_id, 1_767_225_600, ALICE), PEAT, by)


def test_what_the_formation_has_signed_is_believed() -> None:
    for by in PEAT.fingerprints:
        verify(entry(BOB, by), PEAT)
        verify(entry(BOB, by), Formation("peat", (NEW, OLD)))


@pytest.mark.parametrize(
    "forged",
    [
        replace(entry(BOB), device_id=CAROL),
        replace(entry(BOB), at=0),
        replace(entry(BOB), issuer=BOB),
        replace(entry(BOB), by=BY_NEW),
        replace(entry(BOB), signature=bytes(64)),
        replace(entry(BOB), signature=b""),
        replace(entry(BOB), by=Fingerprint("0" * 16)),
    ],
)
def test_what_was_changed_or_made_up_is_not(forged: Revocation) -> None:
    with pytest.raises(RevocationForged, match=forged.device_id):
        verify(forged, PEAT)


def test_nothing_of_another_formation_or_a_removed_secret_is_believed() -> None:
    for other in (Formation("other", (OLD, NEW)), Formation("peat", (NEW,))):
        with pytest.raises(RevocationForged):
            verify(entry(BOB), other)


def test_invariant_1_it_only_grows_and_keeps_its_order() -> None:
    listed = Revocations()
    assert listed.add(entry(BOB))
    assert listed.add(entry(CAROL))
    assert not listed.add(replace(entry(BOB), at=0))
    assert [one.device_id for one in listed] == [BOB, CAROL]
    assert [one.device_id for one in listed.after(1, 10)] == [CAROL]
    assert listed.after(2, 10) == []
    assert BOB in listed
    assert ALICE not in listed
    assert None not in listed
    assert listed.get(BOB) == entry(BOB)


def test_invariant_2_it_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocations, "MAX_REVOCATIONS", 2)
    listed = Revocations()
    listed.add(entry(ALICE))
    listed.add(entry(BOB))
    with pytest.raises(RevocationsFull):
        listed.add(entry(CAROL))
    assert not listed.add(entry(BOB)), "what is on it already needs no place"
    assert len(listed) == 2


def test_the_digest_is_that_of_the_keys_in_whatever_order_they_came() -> None:
    digests = set()
    for order in itertools.permutations((ALICE, BOB, CAROL)):
        listed = Revocations()
        for device_id in order:
            before = listed.digest()
            listed.add(entry(device_id, by=BY_NEW if device_id == order[0] else BY_OLD))
            assert listed.digest() != before
        digests.add(listed.digest())
    assert len(digests) == 1


def test_rule_3_what_a_removed_secret_has_signed_is_signed_by_one_that_is_left() -> None:
    listed = Revocations()
    listed.add(entry(BOB, by=BY_OLD))
    listed.add(entry(CAROL, by=BY_NEW))
    left = Formation("peat", (NEW,))
    assert listed.sign_again(left)
    for one in listed:
        verify(one, left)
    assert not listed.sign_again(left)
