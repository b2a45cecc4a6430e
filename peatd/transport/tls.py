"""What this node brings to TLS: its leaves and the authorities that it trusts; and whom the peer's leaf names.

TLS 1.3 only, no tickets (a resumed session would skip the certificates), ALPN `peat/1`. Names are not checked: the key
in the leaf is the identity, and a CA derived from the formation secret is the reason to trust it.

Rotation: a node signs its leaf with its first secret and accepts all. So that two nodes link whenever they share *any*
secret, the initiator names the authorities it accepts (their tags, as the server name of its ClientHello: public, they
stand in the certificates anyway) and the receiver shows a leaf of the first of its own among them. An initiator whose
first leaf was refused learns from the receiver's leaf which one is accepted (`dial.py`).
"""

import os
import ssl
from dataclasses import dataclass

from peatd.errors import HandshakeError
from peatd.formation import Formation
from peatd.identity import Keypair, device_id, has_signed
from peatd.names import DeviceId
from peatd.papers import Leaf, Order, Papers
from peatd.papers.leaf import authority_tag, read_leaf

ALPN = "peat/1"

_SERVER_NAME_SUFFIX = "peat"
_MAX_NAMED_AUTHORITIES = 8
"""A server name has 253 characters at most; a tag and its dot have 21. A rotation accepts two or three."""


@dataclass(frozen=True, slots=True)
class Vouched:
    """Who the peer is, as its leaf says it; `secret_index`: the accepted secret whose CA signed that leaf."""

    public_key: bytes
    device_id: DeviceId
    secret_index: int


class Credentials:
    """Who we are and what we are a member of.

    Invariants:
        1. Contexts are made at once. It takes a descriptor (`load_leaf`), and there may be none when a peer comes.

    Attributes:
        initiating_contexts: for an initiator: one per accepted secret, with the leaf which that secret's CA signed.
        receiving_context: for a receiver: shows the first leaf, or the one that the initiator's server name asks for.

    Args:
        papers: those of `order_papers(keypair, formation)`: one per accepted secret, in their order.

    Raises:
        OSError: if there is no descriptor.
    """

    def __init__(self, keypair: Keypair, formation: Formation, papers: tuple[Papers, ...]) -> None:
        self.keypair = keypair
        self.formation = formation
        self._authority_keys = tuple(Keypair.from_secret(secret).public_key for secret in formation.ca_secrets)
        authorities = "\n".join(each.authority_pem.decode() for each in papers)
        self.initiating_contexts = tuple(_context(ssl.PROTOCOL_TLS_CLIENT, each.leaf, authorities) for each in papers)
        self.receiving_context = self._choosing_context(
            [_context(ssl.PROTOCOL_TLS_SERVER, each.leaf, authorities) for each in papers]
        )

    @property
    def server_name(self) -> str:
        """What an initiator's ClientHello names: the tags of the authorities that it accepts."""
        tags = [authority_tag(key) for key in self._authority_keys[:_MAX_NAMED_AUTHORITIES]]
        return ".".join([*tags, _SERVER_NAME_SUFFIX])

    def identify(self, leaf: bytes | None) -> Vouched:
        """Reads the peer's leaf (DER), after TLS has verified it.

        Raises:
            HandshakeError: if it is none of ours after all.
        """
        shown = None if leaf is None else read_leaf(leaf)
        if shown is not None:
            for index, key in enumerate(self._authority_keys):
                if has_signed(key, shown.signed, shown.signature):
                    return Vouched(shown.public_key, device_id(shown.public_key), index)
        raise HandshakeError("the peer's certificate is not of our formation", code="not-our-formation")

    def _choosing_context(self, contexts: list[ssl.SSLContext]) -> ssl.SSLContext:
        tags = [authority_tag(key) for key in self._authority_keys]

        def choose_leaf(tls: ssl.SSLObject, server_name: str | None, _initial: ssl.SSLContext) -> None:
            accepted = (server_name or "").split(".")
            tls.context = next(
                (context for tag, context in zip(tags, contexts, strict=True) if tag in accepted), contexts[0]
            )

        contexts[0].sni_callback = choose_leaf
        return contexts[0]


def order_papers(keypair: Keypair, formation: Formation) -> Order:
    """What to have minted for the node with this key, in this formation."""
    return Order(keypair.secret, keypair.device_id, formation.ca_secrets)


def _context(protocol: ssl._SSLMethod, leaf: Leaf, authorities: str) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([ALPN])
    # Some builds of Python set it, and then take a connection that was cut for one that ended in order.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    if protocol == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0
    context.load_verify_locations(cadata=authorities)
    load_leaf(context, leaf)
    return context


def load_leaf(context: ssl.SSLContext, leaf: Leaf) -> None:
    """`load_cert_chain` takes nothing but a path, and a key has no business on a disk: memory gets a path."""
    descriptor = os.memfd_create("peatd leaf", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as memory:
        memory.write(leaf.certificate_pem + leaf.key_pem)
        memory.flush()
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
