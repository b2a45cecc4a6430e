"""Those who are not of the formation, and what they bring to TLS."""

import ssl
from collections.abc import Sequence

from cryptography.hazmat.primitives import serialization
from fakes.links import SECRET

from peatd.formation import Formation
from peatd.identity import Keypair
from peatd.papers.certificates import Authority
from peatd.transport.tls import ALPN, load_leaf

EVE = Keypair.from_seed(b"eve has a key of her own", "eve")


def formation_authority() -> Authority:
    """The CA of the formation that `fakes.links.credentials` makes members of."""
    return Authority(Formation("peat", (SECRET,)).ca_secrets[0])


def own_authority() -> Authority:
    """A CA that eve made up."""
    return Authority(b"\xee" * 32)


def thieving_authority() -> Authority:
    """A CA of eve's that bears the name of the formation's; eve lacks its key."""
    authority = own_authority()
    authority._name = formation_authority()._name
    authority.certificate_pem = authority._mint_own().public_bytes(serialization.Encoding.PEM)
    return authority


def context(
    protocol: int,
    signed_by: Authority | None = None,
    *,
    alpn: Sequence[str] = (ALPN,),
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> ssl.SSLContext:
    """A context that believes anything, and shows eve's leaf if somebody signs it."""
    made = ssl.SSLContext(protocol)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.minimum_version = made.maximum_version = version
    if alpn:
        made.set_alpn_protocols(list(alpn))
    if signed_by is not None:
        load_leaf(made, signed_by.mint_leaf(EVE.secret, EVE.device_id))
    return made
