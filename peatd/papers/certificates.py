"""The formation's certificate authorities and a node's leaves: X.509 as a way to carry keys. Sans-IO.

The only importer of `cryptography`, and not for the node's own process: see minting.py.

Rules:
1. Trust comes from the secret alone. Dates mean nothing (clocks at the edge are wrong) and reach from 1970 to 9999.
2. A CA is a function of its key: each node makes the same certificate, byte for byte, and nobody sends it.
3. A CA's name holds its key's fingerprint, so two accepted secrets have two names. The proof is the signature.
"""

import datetime
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from peatd.names import DeviceId
from peatd.papers.leaf import authority_tag
from peatd.papers.order import Leaf, Order, Papers

_NOT_BEFORE = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_NOT_AFTER = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)
"""RFC 5280, 4.1.2.5: the date that stands for "no end"."""

_SERIAL_BYTES = 16


def mint(order: Order) -> tuple[Papers, ...]:
    """The papers that `order` asks for, in its order; for the same order always the same bytes."""
    authorities = [Authority(secret) for secret in order.ca_secrets]
    return tuple(
        Papers(authority.certificate_pem, authority.mint_leaf(order.node_secret, order.device_id))
        for authority in authorities
    )


class Authority:
    """The CA of one formation secret.

    Attributes:
        certificate_pem: what a node trusts.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(secret)
        self._public_key = self._key.public_key()
        tag = authority_tag(self._public_key.public_bytes_raw())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"peat formation {tag}")])
        self.certificate_pem = self._mint_own().public_bytes(serialization.Encoding.PEM)

    def mint_leaf(self, node_secret: bytes, device_id: DeviceId) -> Leaf:
        """The leaf for a node's own key; for the same key always the same bytes."""
        key = Ed25519PrivateKey.from_private_bytes(node_secret)
        public_key = key.public_key()
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        certificate = (
            _builder(public_key)
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device_id)]))
            .issuer_name(self._name)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(f"{device_id}.peat")]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._public_key), critical=False)
            .sign(self._key, algorithm=None)
        )
        return Leaf(
            certificate_pem=certificate.public_bytes(serialization.Encoding.PEM),
            key_pem=key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )

    def _mint_own(self) -> x509.Certificate:
        return (
            _builder(self._public_key)
            .subject_name(self._name)
            .issuer_name(self._name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(certificates=True), critical=True)
            .sign(self._key, algorithm=None)
        )


def _builder(public_key: Ed25519PublicKey) -> x509.CertificateBuilder:
    # The serial follows from the key too; RFC 5280 wants it positive.
    serial = int.from_bytes(hashlib.sha256(b"serial" + public_key.public_bytes_raw()).digest()[:_SERIAL_BYTES], "big")
    return (
        x509.CertificateBuilder()
        .public_key(public_key)
        .serial_number(serial or 1)
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        key_cert_sign=certificates,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
