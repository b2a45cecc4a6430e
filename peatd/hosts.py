"""Hosts as requests and sockets name them: which of these are this machine itself. Sans-IO."""

import ipaddress
from urllib.parse import urlsplit


def host_and_port(authority: str, default_port: int) -> tuple[str, int] | None:
    """`HOST[:PORT]`, the host in lower case and without brackets; None if it is anything else."""
    try:
        parts = urlsplit(f"//{authority}")
        if parts.netloc != authority or "@" in authority or parts.hostname is None:
            return None
        port = default_port if parts.port is None else parts.port
    except ValueError:  # brackets that do not close, a port that is no number
        return None
    return parts.hostname, port


def is_loopback(host: str) -> bool:
    """Whether an IP address, as a socket names it, can be reached from this machine only."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def is_loopback_name(authority: str | None) -> bool:
    """Whether `HOST[:PORT]` names this machine's loopback. No name server has a say in `localhost` or an IP address."""
    parts = host_and_port(authority or "", default_port=80)
    if parts is None:
        return False
    try:
        return parts[0] == "localhost" or is_loopback(parts[0])
    except ValueError:
        return False
