"""The steps of a rotation: what each leads to, and what comes first."""

import pytest

from peatd.errors import ConfigError
from peatd.formation import Formation, format_formation_secret, parse_formation_secret
from peatd.names import Fingerprint
from peatd.rotation import MAX_SECRETS, Install, Remove, Use, after

OLD, NEW, OTHER = b"o" * 32, b"n" * 32, b"x" * 32


def named(secret: bytes) -> Fingerprint:
    return Formation("peat", (secret,)).fingerprints[0]


def formation(*secrets: bytes) -> Formation:
    return Formation("peat", secrets)


def test_the_walk() -> None:
    installed = after(Install(NEW), formation(OLD))
    assert installed == (OLD, NEW)
    used = after(Use(named(NEW)), formation(*installed))
    assert used == (NEW, OLD)
    assert after(Remove(named(NEW)), formation(*used)) == (NEW,)


@pytest.mark.parametrize(
    ("step", "secrets"),
    [
        (Install(NEW), (OLD, NEW)),
        (Install(NEW), (NEW, OLD)),
        (Use(named(NEW)), (NEW, OLD)),
        (Remove(named(NEW)), (NEW,)),
    ],
)
def test_a_step_that_was_done_changes_nothing(step: Install | Use | Remove, secrets: tuple[bytes, ...]) -> None:
    assert after(step, formation(*secrets)) == secrets


def test_what_is_removed_is_all_but_the_one_that_is_used() -> None:
    assert after(Remove(named(NEW)), formation(NEW, OLD, OTHER)) == (NEW,)


@pytest.mark.parametrize(
    "step", [Use(named(NEW)), Remove(named(NEW)), Use(Fingerprint("")), Use(Fingerprint("x" * 999))]
)
def test_a_secret_is_installed_first(step: Use | Remove) -> None:
    with pytest.raises(ConfigError, match="`install` comes first") as caught:
        after(step, formation(OLD))
    assert len(str(caught.value)) < 200


def test_none_is_removed_before_the_other_is_used() -> None:
    with pytest.raises(ConfigError, match="`use` comes first"):
        after(Remove(named(NEW)), formation(OLD, NEW))


def test_more_than_a_client_hello_can_name_are_not_installed() -> None:
    many = formation(*(bytes([n]) * 32 for n in range(MAX_SECRETS)))
    assert after(Install(bytes(32)), many) == many.secrets
    with pytest.raises(ConfigError, match="remove those of earlier rotations"):
        after(Install(NEW), many)


def test_a_fingerprint_tells_secrets_and_formations_apart_and_nothing_else() -> None:
    peat, other = Formation("peat", (OLD, NEW)), Formation("other", (OLD, NEW))
    assert len({*peat.fingerprints, *other.fingerprints}) == 4
    assert all(len(name) == 16 and set(name) <= set("0123456789abcdef") for name in peat.fingerprints)
    assert peat.fingerprints[::-1] == Formation("peat", (NEW, OLD)).fingerprints
    keys = (*peat.secrets, *peat.ca_secrets, *peat.client_token_keys(), peat.proof_key(0), peat.revocation_secret(0))
    assert not any(name in key.hex() for name in peat.fingerprints for key in keys)


def test_what_is_written_is_what_is_read() -> None:
    assert parse_formation_secret(format_formation_secret((NEW, OLD)), "file") == (NEW, OLD)
