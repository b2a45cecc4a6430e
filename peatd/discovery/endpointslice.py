"""Reads peers out of a Kubernetes EndpointSlice. Sans-IO.

The rules are peat-mesh's, and a slice without a named port gives exactly its answers:

* Each endpoint that has an address that parses as an IP is a peer; the others are skipped.
* Its node id is the name of its target (the pod), else its first address.
* Its port is that of the slice's port named `peat`, else `iroh-quic`, else the slice's first port, else 8080.
* The slice's annotations under a prefix are its metadata, the prefix removed; `relay_url` leaves the metadata for a
  field of its own. They belong to the slice, hence to every endpoint in it.

Unready and terminating endpoints count like any other: unready pods that were not dialled would wait for each other
for ever on a cold start, and a terminating one still has changes to give away.
"""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from peatd.discovery.events import PeerInfo
from peatd.errors import MalformedSlice
from peatd.names import Address, NodeId

DEFAULT_PORT = 8080
"""Upstream's answer for a slice that names no port."""


class PortRank(IntEnum):
    """How sure we are that a slice's port is the mesh's; lower is surer."""

    PEAT = 0
    IROH_QUIC = 1
    UNNAMED = 2


_RANKED_NAMES = {"peat": PortRank.PEAT, "iroh-quic": PortRank.IROH_QUIC}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of a slice that is a peer.

    Attributes:
        peer: what this slice alone says of it.
        named: whether its node id is the name of its target and not merely its address.
        uid: of its target, where it has one.
    """

    peer: PeerInfo
    named: bool
    uid: str | None


@dataclass(frozen=True, slots=True)
class Slice:
    """What a slice says of peers.

    Attributes:
        rank: how sure it is of their port.
    """

    endpoints: tuple[Endpoint, ...]
    rank: PortRank


class SliceModel(Protocol):
    """The Kubernetes client's `V1EndpointSlice`, whose dict has snake_case or camelCase keys."""

    def to_dict(self) -> Mapping[str, object]: ...


def extract_peers_from_endpoint_slice(
    endpoint_slice: Mapping[str, object] | SliceModel, annotation_prefix: str = "peat."
) -> list[PeerInfo]:
    """The peers of one slice, in its order (upstream's function of this name).

    Args:
        endpoint_slice: the JSON object of an EndpointSlice, or the Kubernetes client's model of one.
        annotation_prefix: of the annotations that become metadata.

    Raises:
        MalformedSlice: a ValueError, if it does not have the shape of an EndpointSlice.
    """
    return [endpoint.peer for endpoint in parse_endpoint_slice(endpoint_slice, annotation_prefix).endpoints]


def parse_endpoint_slice(endpoint_slice: object, annotation_prefix: str) -> Slice:
    """What a slice says of peers, in a type.

    Raises:
        MalformedSlice: if it does not have the shape of an EndpointSlice.
    """
    fields = _fields_of(endpoint_slice)
    rank, port = _select_port(list(_objects(fields.get("ports"), "ports")))
    metadata = _metadata(fields.get("metadata"), annotation_prefix)
    relay_url = metadata.pop("relay_url", None)
    endpoints = []
    for one in _objects(fields.get("endpoints"), "endpoints"):
        target = _object(one.get("targetRef", one.get("target_ref")), "a targetRef") or {}
        name, uid = _text(target.get("name"), "a target's name"), _text(target.get("uid"), "a target's uid")
        texts = _addresses(one.get("addresses"))
        ips = dict.fromkeys(ip for ip in map(_ip, texts) if ip is not None)
        if ips:
            addresses = tuple(Address(ip, port) for ip in ips)
            peer = PeerInfo(NodeId(name or texts[0]), addresses, relay_url, dict(metadata))
            endpoints.append(Endpoint(peer, bool(name), uid or None))
    return Slice(tuple(endpoints), rank)


def _fields_of(endpoint_slice: object) -> Mapping[str, object]:
    if not isinstance(endpoint_slice, Mapping):
        to_dict = getattr(endpoint_slice, "to_dict", None)
        if callable(to_dict):
            endpoint_slice = to_dict()
    fields = _object(endpoint_slice, "an EndpointSlice")
    if fields is None:
        raise MalformedSlice("an EndpointSlice is null")
    return fields


def _select_port(ports: Sequence[Mapping[str, object]]) -> tuple[PortRank, int]:
    numbers: dict[PortRank, int] = {}
    for one in ports:
        rank = _RANKED_NAMES.get(_text(one.get("name"), "a port's name") or "", PortRank.UNNAMED)
        number = _port_number(one.get("port"))
        if rank is not PortRank.UNNAMED and number is not None:
            numbers.setdefault(rank, number)
    if numbers:
        best = min(numbers)
        return best, numbers[best]
    first = _port_number(ports[0].get("port")) if ports else None
    return PortRank.UNNAMED, DEFAULT_PORT if first is None else first


def _port_number(number: object) -> int | None:
    # bool is an int to Python, and JSON's `true` is no port.
    if number is None:
        return None
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= 65535:
        raise MalformedSlice(f"a port is {_shown(number)}, not a number from 0 to 65535")
    return number


def _metadata(metadata: object, prefix: str) -> dict[str, str]:
    annotations = _object((_object(metadata, "metadata") or {}).get("annotations"), "annotations") or {}
    return {
        key.removeprefix(prefix): _text(value, f"annotation {key!r}") or ""
        for key, value in annotations.items()
        if key.startswith(prefix)
    }


def _addresses(addresses: object) -> list[str]:
    if addresses is None:
        return []
    if not isinstance(addresses, list) or not all(isinstance(one, str) for one in addresses):
        raise MalformedSlice(f"an endpoint's addresses are {_shown(addresses)}, not a list of strings")
    return addresses


def _ip(text: str) -> str | None:
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A zone is another host's name for its own interface; upstream's parser refuses one too.
    return None if "%" in text else str(ip)


def _objects(value: object, what: str) -> Iterator[Mapping[str, object]]:
    """The objects of a list that may be null: the API server writes null for an empty one."""
    if value is None:
        return
    if not isinstance(value, list):
        raise MalformedSlice(f"{what} is {_shown(value)}, not a list")
    for one in value:
        fields = _object(one, f"one of {what}")
        if fields is None:
            raise MalformedSlice(f"one of {what} is null")
        yield fields


def _object(value: object, what: str) -> Mapping[str, object] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise MalformedSlice(f"{what} is {_shown(value)}, not an object")
    return value


def _text(value: object, what: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise MalformedSlice(f"{what} is {_shown(value)}, not a string")
    return value


def _shown(value: object) -> str:
    return repr(value)[:80]
