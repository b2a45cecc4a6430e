"""Who a node is: its Ed25519 key, and the ids that follow from it. Sans-IO; `keyfile.py` keeps a key on disk.

The rule is peat-mesh's `DeviceKeypair::from_seed`, bit for bit: HKDF-SHA256 (RFC 5869) without salt, the seed as input
keying material, the context in UTF-8 as info, 32 bytes, used as the Ed25519 secret (RFC 8032).
"""

import hashlib
from functools import lru_cache

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from peatd.hkdf import KEY_BYTES, derive_key
from peatd.names import DeviceId

SECRET_BYTES = KEY_BYTES
"""An Ed25519 secret (RFC 8032)."""

_DEVICE_ID_BYTES = 16
_IROH = "iroh:"


class Keypair:
    """A node's Ed25519 key. `repr` and `str` show the device id and never the secret."""

    __slots__ = ("_signing_key",)

    def __init__(self, signing_key: SigningKey) -> None:
        self._signing_key = signing_key

    @classmethod
    def from_seed(cls, seed: bytes, context: str) -> "Keypair":
        """The key of the node `context` in the formation of `seed`: the same everywhere and for ever.

        Any seed will do, even an empty one; whoever reads one from outside refuses a weak one.
        """
        return cls.from_secret(_derive(seed, context))

    @classmethod
    def from_secret(cls, secret: bytes) -> "Keypair":
        """The key with this secret, `SECRET_BYTES` long.

        Raises:
            ValueError: if the secret has another length.
        """
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"an Ed25519 secret has {SECRET_BYTES} bytes, not {len(secret)}")
        return cls(SigningKey(secret))

    @classmethod
    def generate(cls) -> "Keypair":
        """A new key, from the operating system's randomness."""
        return cls(SigningKey.generate())

    @property
    def secret(self) -> bytes:
        """The 32 bytes that whoever holds them is this node with."""
        return bytes(self._signing_key)

    @property
    def public_key(self) -> bytes:
        return bytes(self._signing_key.verify_key)

    @property
    def device_id(self) -> DeviceId:
        return device_id(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of `message`, without the message."""
        return self._signing_key.sign(message).signature

    def __repr__(self) -> str:
        return f"<Keypair of device {self.device_id}>"


@lru_cache(maxsize=4096)  # gossip asks for those of all members again and again
def device_id(public_key: bytes) -> DeviceId:
    """The device id of whoever holds the secret of this Ed25519 public key."""
    return DeviceId(hashlib.sha256(public_key).digest()[:_DEVICE_ID_BYTES].hex())


def has_signed(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether whoever holds the secret of this Ed25519 public key has signed `message`."""
    try:
        VerifyKey(public_key).verify(message, signature)
    except BadSignatureError:
        return False
    return True


def endpoint_id(seed: bytes, context: str) -> str:
    """The iroh endpoint id, in hex, of the node `context` in the formation of `seed`.

    A key of its own, as upstream's: what is signed for iroh can never be taken for a signature of the node.
    """
    return Keypair.from_seed(seed, _IROH + context).public_key.hex()


def _derive(seed: bytes, info: str) -> bytes:
    return derive_key(seed, salt=b"", info=info.encode())
