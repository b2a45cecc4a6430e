"""A formation: the nodes that share a secret, and the keys that they all derive from it. Sans-IO.

Each accepted secret gives one key per purpose, 32 bytes of HKDF-SHA256 (RFC 5869):

    salt  `peatd formation v1`          keeps them apart from the keys of nodes, which have no salt
    info  purpose ‖ 00 ‖ name in UTF-8  so the same secret under another formation's name is another formation

    purpose               used as
    `certificate authority`   Ed25519 secret of the CA that signs the nodes' TLS certificates
    `membership proof`        HMAC key of the handshake's proof
    `client token`            HMAC key of the tokens that let Yjs clients in
    `revocation`              Ed25519 secret that signs the revocation of a node's key
    `relay`                   Ed25519 secret that vouches for a node at a relay, which knows the public half
    `fingerprint`             in public, what the secret is called; its first 8 bytes
    `local discovery`         on a LAN, by what its nodes know each other; its first 8 bytes
    `local notice`            HMAC key of what a node says of itself there

These strings are frozen for ever (`tests/vectors/formation.json`): nodes of different releases meet by them.
"""

import base64
import binascii
import secrets as randomness
from collections.abc import Iterable
from dataclasses import dataclass, field

from peatd.errors import ConfigError
from peatd.hkdf import derive_key
from peatd.names import Fingerprint

NEW_SECRET_BYTES = 32
MIN_SECRET_BYTES = 16
"""128 bits: below it a secret can be guessed from a recorded handshake."""
MAX_NAME_LENGTH = 253
"""What HELLO carries; a DNS name's bound."""

_SALT = b"peatd formation v1"
_CERTIFICATE_AUTHORITY = b"certificate authority"
_MEMBERSHIP_PROOF = b"membership proof"
_CLIENT_TOKEN = b"client token"
_REVOCATION = b"revocation"
_RELAY = b"relay"
_FINGERPRINT = b"fingerprint"
_LOCAL_DISCOVERY = b"local discovery"
_LOCAL_NOTICE = b"local notice"

_FINGERPRINT_BYTES = 8
"""Enough that two secrets of one formation never share one, and few enough to be read out."""


@dataclass(frozen=True, slots=True)
class Formation:
    """A formation's id and its secrets, decoded. The first secret is used, all are accepted: so one is rotated.

    Raises:
        ConfigError: if the name is empty or too long, or there is no secret.
    """

    name: str
    secrets: tuple[bytes, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.name) <= MAX_NAME_LENGTH:
            raise ConfigError(
                f"the formation's name has {len(self.name)} characters: use 1 to {MAX_NAME_LENGTH} (--formation)"
            )
        if not self.secrets:
            raise ConfigError(f"formation {self.name!r} has no secret: make one with `peat secret new`")

    @property
    def ca_secrets(self) -> tuple[bytes, ...]:
        """The Ed25519 secrets of the CAs of `secrets`."""
        return tuple(self._derive(_CERTIFICATE_AUTHORITY, index) for index in range(len(self.secrets)))

    def proof_key(self, index: int) -> bytes:
        """The key of the membership proof of `secrets[index]`."""
        return self._derive(_MEMBERSHIP_PROOF, index)

    def client_token_key(self, index: int) -> bytes:
        """The key of the client tokens of `secrets[index]`."""
        return self._derive(_CLIENT_TOKEN, index)

    def client_token_keys(self) -> tuple[bytes, ...]:
        """Of all secrets: a token that was made before a rotation is good until the old secret is removed."""
        return tuple(self.client_token_key(index) for index in range(len(self.secrets)))

    def revocation_secret(self, index: int) -> bytes:
        """The Ed25519 secret that signs revocations for those who accept `secrets[index]`."""
        return self._derive(_REVOCATION, index)

    def relay_secret(self, index: int) -> bytes:
        """The Ed25519 secret that vouches at relays for whoever accepts `secrets[index]`."""
        return self._derive(_RELAY, index)

    @property
    def fingerprints(self) -> tuple[Fingerprint, ...]:
        """What `secrets` are called in public, in their order."""
        return tuple(
            Fingerprint(self._derive(_FINGERPRINT, index)[:_FINGERPRINT_BYTES].hex())
            for index in range(len(self.secrets))
        )

    @property
    def discovery_hashes(self) -> tuple[str, ...]:
        """By what nodes that accept `secrets` know each other on a LAN, in their order: 16 hex digits each.

        Not the fingerprints: whoever merely listens there is not to see which secret a rotation has come to.
        """
        return tuple(
            self._derive(_LOCAL_DISCOVERY, index)[:_FINGERPRINT_BYTES].hex() for index in range(len(self.secrets))
        )

    @property
    def notice_keys(self) -> tuple[bytes, ...]:
        """By what nodes that accept `secrets` prove what they say of themselves on a LAN, in their order."""
        return tuple(self._derive(_LOCAL_NOTICE, index) for index in range(len(self.secrets)))

    def _derive(self, purpose: bytes, index: int) -> bytes:
        return derive_key(self.secrets[index], salt=_SALT, info=purpose + b"\0" + self.name.encode())


def new_formation_secret() -> str:
    """A new secret, as the text that goes into a Kubernetes Secret or a file: base64 of 32 random bytes."""
    return base64.b64encode(randomness.token_bytes(NEW_SECRET_BYTES)).decode()


def parse_formation_secret(text: str, origin: str) -> tuple[bytes, ...]:
    """The secrets in `text`, decoded, in order: one per line; blank lines and repetitions do not count.

    Args:
        origin: where the text comes from, for the error's reader: a file's path or a variable's name.

    Raises:
        ConfigError: if there is none, or a line is not base64 or too short. Names the line, never what it holds.
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        raise ConfigError(f"{origin}: the formation secret is empty; make one with `peat secret new`")
    return tuple(dict.fromkeys(_decode(line, f"{origin}, line {number}") for number, line in lines))


def format_formation_secret(secrets: Iterable[bytes]) -> str:
    """The text that `parse_formation_secret` reads these from."""
    return "".join(f"{base64.b64encode(secret).decode()}\n" for secret in secrets)


def _decode(line: str, where: str) -> bytes:
    try:
        secret = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        # The cause is dropped: a decoder's error may quote what it was given.
        raise ConfigError(f"{where}: the formation secret is not base64; make one with `peat secret new`") from None
    if len(secret) < MIN_SECRET_BYTES:
        raise ConfigError(
            f"{where}: the formation secret has {len(secret)} bytes, at least {MIN_SECRET_BYTES} are needed; "
            "make one with `peat secret new`"
        )
    return secret
