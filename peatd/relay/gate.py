"""Who may ask what of a relay. Sans-IO.

Rules, in this order:
1. The relay goes by the name that is signed: so nobody who is asked can ask elsewhere in another's name.
2. The node has signed it, over our nonce.
3. A formation that is served here has vouched for it, over the same.
4. Its key is not revoked, where the relay is a node and knows of that.
"""

import ipaddress
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from peatd.errors import InvalidName, RelayError
from peatd.identity import device_id, has_signed
from peatd.names import Address, DeviceId
from peatd.relay.protocol import FORBIDDEN, NAME, Request, signed_bytes


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as it has proved.

    Attributes:
        formations: relay keys of the formations that have vouched for it, of those that are served here.
    """

    device_id: DeviceId
    formations: frozenset[bytes]


class Gate:
    """The rules of one relay.

    Args:
        names: what it goes by beside its addresses: hosts.
        allowed: relay keys of the formations that it serves, now.
        is_revoked: whether a node is to be let in no more.
    """

    def __init__(
        self,
        names: Iterable[str],
        allowed: Callable[[], Collection[bytes]],
        is_revoked: Callable[[DeviceId], bool] = lambda _device_id: False,
    ) -> None:
        self._names = frozenset(_canonical(name) for name in names)
        self._allowed = allowed
        self._is_revoked = is_revoked

    def check(self, request: Request, nonce: bytes, local_host: str) -> Caller:
        """
        Args:
            local_host: the address that the connection came to.

        Raises:
            RelayError: `name` or `forbidden`.
        """
        self._check_name(request.name, local_host)
        signed = signed_bytes(request.op, request.target, request.name, nonce, request.public_key)
        if not has_signed(request.public_key, signed, request.signature):
            raise RelayError("the request is not signed by the node that it names", FORBIDDEN)
        allowed = self._allowed()
        served = [voucher for voucher in request.vouchers if voucher.key in allowed]
        formations = frozenset(v.key for v in served if has_signed(v.key, signed, v.signature))
        if not formations:
            raise RelayError("this relay does not serve the node's formation: see --relay-allow there", FORBIDDEN)
        caller = Caller(device_id(request.public_key), formations)
        if self._is_revoked(caller.device_id):
            raise RelayError("the node's key was revoked", FORBIDDEN)
        return caller

    def _check_name(self, name: str, local_host: str) -> None:
        try:
            host = _canonical(Address.parse(name).host)
        except InvalidName:
            host = ""
        if host not in self._names and host != local_host:
            raise RelayError(f"this relay does not go by {host or 'that'}: start it with --relay-name {host}", NAME)


def _canonical(host: str) -> str:
    """What is the same host is the same text."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower().rstrip(".")
