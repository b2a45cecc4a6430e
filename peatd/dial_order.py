"""In which order a peer's addresses are tried. Sans-IO.

After RFC 8305, 4: families take turns, IPv6 first, each in the order that it came in; and before all others the address
that led to the peer last, which is likely to do so again. A DNS name counts as IPv4: whoever connects to it sorts what
it stands for.
"""

from collections.abc import Sequence
from itertools import zip_longest

from peatd.names import Address


def dial_order(addresses: Sequence[Address], last_good: Address | None) -> list[Address]:
    """All the addresses, each once; `last_good` first, if it is still one of them."""
    ipv6 = [address for address in addresses if ":" in address.host]
    others = [address for address in addresses if ":" not in address.host]
    turns = [address for pair in zip_longest(ipv6, others) for address in pair if address is not None]
    first = [last_good] if last_good in addresses and last_good is not None else []
    return list(dict.fromkeys([*first, *turns]))
