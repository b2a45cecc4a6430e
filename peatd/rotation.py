"""The three steps by which a formation exchanges its secret. Sans-IO.

    install   a further secret is accepted, behind the others     nothing else changes
    use       it becomes the first: leaves, proofs and node keys follow from it     links are made anew, at once
    remove    it is the only one: who holds another is a stranger

Each step is done on every node before the next is on any, so that at no moment two nodes have no secret in common. All
three may be repeated: a step that was done already changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from peatd.errors import ConfigError
from peatd.formation import Formation
from peatd.names import Fingerprint

MAX_SECRETS = 8
"""That an initiator can name in its ClientHello (transport/tls.py). A rotation takes two."""


@dataclass(frozen=True, slots=True)
class Install:
    secret: bytes


@dataclass(frozen=True, slots=True)
class Use:
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class Remove:
    """All but this one, which has to be the first."""

    fingerprint: Fingerprint


Step = Install | Use | Remove


def after(step: Step, formation: Formation) -> tuple[bytes, ...]:
    """The secrets that the formation has once the step is done.

    Raises:
        ConfigError: if it cannot be done now; the message says what comes first.
    """
    secrets = formation.secrets
    match step:
        case Install(secret):
            if secret not in secrets and len(secrets) >= MAX_SECRETS:
                raise ConfigError(f"{len(secrets)} secrets are accepted already: remove those of earlier rotations")
            return tuple(dict.fromkeys((*secrets, secret)))
        case Use(fingerprint):
            new = secrets[_index(fingerprint, formation.fingerprints)]
            return (new, *(secret for secret in secrets if secret != new))
        case Remove(fingerprint):
            if _index(fingerprint, formation.fingerprints):
                raise ConfigError(f"the secret {fingerprint} is accepted here, but another is used: `use` comes first")
            return secrets[:1]


def _index(fingerprint: Fingerprint, known: Sequence[Fingerprint]) -> int:
    if fingerprint not in known:
        raise ConfigError(
            f"no secret {fingerprint[:32]!r} is accepted here, only {', '.join(known)}: `install` comes first"
        )
    return known.index(fingerprint)
