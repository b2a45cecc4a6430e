"""HKDF-SHA256: that of RFC 5869, and of another library."""

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from peatd.hkdf import KEY_BYTES, derive_key

# RFC 5869, A.1 and A.3: input keying material, salt, info, and the first 32 bytes of the output.
VECTORS = [
    (
        "0b" * 22,
        "000102030405060708090a0b0c",
        "f0f1f2f3f4f5f6f7f8f9",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf",
    ),
    ("0b" * 22, "", "", "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"),
]


@pytest.mark.parametrize(("secret", "salt", "info", "key"), VECTORS)
def test_gives_the_keys_of_the_rfc(secret: str, salt: str, info: str, key: str) -> None:
    derived = derive_key(bytes.fromhex(secret), salt=bytes.fromhex(salt), info=bytes.fromhex(info))
    assert derived.hex() == key


@given(secret=st.binary(max_size=200), salt=st.binary(max_size=200), info=st.binary(max_size=200))
def test_gives_the_keys_of_another_library(secret: bytes, salt: bytes, info: bytes) -> None:
    expected = HKDF(SHA256(), KEY_BYTES, salt=salt or None, info=info).derive(secret)
    assert derive_key(secret, salt=salt, info=info) == expected
