"""What nodes say of themselves on a LAN, as messages of multicast DNS. Sans-IO.

Words: a *notice* is what one process says of itself; it is answered to whoever *asks* for the service.

A notice is one packet, with all of DNS service discovery's records (RFC 6763) in it: only then does it count here.

    _peat._udp.local.          PTR    LABEL._peat._udp.local.
    LABEL._peat._udp.local.    SRV    0 0 PORT LABEL.local.
    LABEL._peat._udp.local.    TXT    node_id=… device_id=… port=… formation=HASH,HASH… proof=PROOF,PROOF…
    LABEL.local.               A, AAAA

The service is upstream's. LABEL is the device id and a word that each process draws by chance: no two ever have the
same one, not even two nodes that were given one name by mistake, so that nobody has to give way (RFC 6762, 9). A
packet whose PTR lives 0 s takes the notice back (RFC 6762, 10.1).

It is held to these bounds, and believed as far as: somebody may answer there. A node that is registered by hand need
not have proofs; `notice_proof.py` says what they are good for.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from zeroconf import (  # type: ignore[attr-defined]  # its __all__ is not complete
    DNSAddress,
    DNSIncoming,
    DNSOutgoing,
    DNSPointer,
    DNSQuestion,
    DNSRecord,
    DNSService,
    DNSText,
)

from peatd.errors import MalformedNotice
from peatd.names import DeviceId, NodeId

SERVICE = "_peat._udp.local."
SERVICES = "_services._dns-sd._udp.local."
"""Who asks for this wants to know which services there are at all (RFC 6763, 9)."""

MAX_PACKET_BYTES = 9000
"""RFC 6762, 17."""
MAX_HOSTS = 8
"""Addresses of a notice: more are not read. Two families on a few networks."""
MAX_HASHES = 14
"""Formation hashes, as many as a string of a TXT record holds; a rotation accepts two or three secrets."""
MAX_NODE_ID_BYTES = 255 - len("node_id=")
"""A string of a TXT record has 255 bytes at most."""
_MAX_TXT_BYTES = 1024
_MAX_RECORDS = 128
"""Of a packet; a notice has a dozen, a question a known answer for each node that need not answer."""

_REMEMBERED = 256
"""Packets and what they say: nodes repeat theirs to the letter, and on both IP versions."""

# RFC 1035, 3.2; RFC 2782; RFC 3596; RFC 6762, 18.
_A, _PTR, _TXT, _AAAA, _SRV, _ANY = 1, 12, 16, 28, 33, 255
_IN, _ANY_CLASS = 1, 255
_FLUSH = 0x8000
"""In a record's class: this is all there is of that name and type."""
_QUERY, _RESPONSE = 0x0000, 0x8400

_LABEL = re.compile(r"[a-z0-9-]{1,63}")
_NODE_ID = re.compile(r"[A-Za-z0-9._:-]{1,247}")
_DEVICE_ID = re.compile(r"[0-9a-f]{32}")
_PORT = re.compile(r"[0-9]{1,5}")
_HASH = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Notice:
    """What a process says of itself.

    Attributes:
        label: its own, see above.
        formations: of each secret that it accepts, a hash (`Formation.discovery_hashes`).
        hosts: IP addresses, as text.
        proofs: for each of `formations`, that who says it knows the secret (`notice_proof.py`).
    """

    label: str
    node_id: NodeId
    device_id: DeviceId
    port: int
    formations: tuple[str, ...]
    hosts: tuple[str, ...]
    proofs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody asks.

    Attributes:
        names: what for, in lower case: the service, the services, or one's instance or host.
        known: label → seconds that what the asker knows of it is good for.
    """

    names: frozenset[str]
    known: dict[str, float]


@dataclass(frozen=True, slots=True)
class Told:
    """Somebody says something: seconds that it is good for; 0 takes it back, whatever the rest of it says."""

    notices: tuple[tuple[Notice, float], ...]
    gone: frozenset[str]


def instance_name(label: str) -> str:
    return f"{label}.{SERVICE}"


def host_name(label: str) -> str:
    return f"{label}.local."


@lru_cache(maxsize=_REMEMBERED)
def read_packet(packet: bytes) -> Asked | Told:
    """What a packet says that concerns us; of other services it says nothing.

    Raises:
        MalformedNotice: if it is no DNS message.
    """
    if len(packet) > MAX_PACKET_BYTES:
        raise MalformedNotice(f"a packet of {len(packet)} bytes: {MAX_PACKET_BYTES} are the most")
    message = DNSIncoming(packet)
    if not message.valid:
        raise MalformedNotice(f"{packet[:40]!r} is no DNS message")
    records = [record for record in message.answers()[:_MAX_RECORDS] if record.class_ == _IN]
    if message.is_query():
        names = {question.name.lower() for question in message.questions if question.class_ in (_IN, _ANY_CLASS)}
        return Asked(frozenset(names), {label: float(record.ttl) for label, record in _pointers(records)})
    gone = frozenset(label for label, record in _pointers(records) if record.ttl == 0)
    labels = {label for label, _ in _pointers(records)} - gone
    read = (_notice(label, records) for label in sorted(labels))
    return Told(tuple(one for one in read if one is not None), gone)


def question(known: Iterable[tuple[str, float]]) -> bytes:
    """Asks who is there. Whoever is among the known, with so many seconds to go, need not answer (RFC 6762, 7.1)."""
    message = DNSOutgoing(_QUERY)
    message.add_question(DNSQuestion(SERVICE, _PTR, _IN))
    for label, seconds in known:
        message.add_answer_at_time(DNSPointer(SERVICE, _PTR, _IN, int(seconds), instance_name(label)), 0)
    return _only(message)


def notice_packet(notice: Notice, lifetime: int) -> bytes:
    """Says it for so many seconds."""
    message = DNSOutgoing(_RESPONSE)
    for record in _records(notice, lifetime):
        message.add_answer_at_time(record, 0)
    return _only(message)


def farewell_packet(label: str) -> bytes:
    """Takes a notice back."""
    message = DNSOutgoing(_RESPONSE)
    message.add_answer_at_time(DNSPointer(SERVICE, _PTR, _IN, 0, instance_name(label)), 0)
    return _only(message)


def services_packet(lifetime: int) -> bytes:
    """Says that there is this service."""
    message = DNSOutgoing(_RESPONSE)
    message.add_answer_at_time(DNSPointer(SERVICES, _PTR, _IN, lifetime, SERVICE), 0)
    return _only(message)


def _records(notice: Notice, lifetime: int) -> Iterator[DNSRecord]:
    instance, host = instance_name(notice.label), host_name(notice.label)
    alone = _IN | _FLUSH
    texts = {
        "node_id": notice.node_id,
        "device_id": notice.device_id,
        "port": str(notice.port),
        "formation": ",".join(notice.formations[:MAX_HASHES]),
        "proof": ",".join(notice.proofs[:MAX_HASHES]),
    }
    strings = [f"{key}={text}".encode() for key, text in texts.items()]
    text = b"".join(bytes([len(string)]) + string for string in strings)
    yield DNSPointer(SERVICE, _PTR, _IN, lifetime, instance)
    yield DNSService(instance, _SRV, alone, lifetime, 0, 0, notice.port, host)
    yield DNSText(instance, _TXT, alone, lifetime, text)
    for address in map(ipaddress.ip_address, notice.hosts[:MAX_HOSTS]):
        yield DNSAddress(host, _A if address.version == 4 else _AAAA, alone, lifetime, address.packed)


def _only(message: DNSOutgoing) -> bytes:
    [packet] = message.packets()  # bounds on all that goes into it keep it within one
    return packet


def _pointers(records: Sequence[DNSRecord]) -> Iterator[tuple[str, DNSPointer]]:
    """The records that point to instances of the service, by their labels."""
    for record in records:
        if isinstance(record, DNSPointer) and record.type == _PTR and record.name.lower() == SERVICE:
            label = record.alias.lower().removesuffix(f".{SERVICE}")
            if _LABEL.fullmatch(label):
                yield label, record


def _notice(label: str, records: Sequence[DNSRecord]) -> tuple[Notice, float] | None:
    """The notice and its lifetime, if it is whole and within bounds."""
    instance = instance_name(label)
    service = next((r for r in records if isinstance(r, DNSService) and r.name.lower() == instance), None)
    text = next((r for r in records if isinstance(r, DNSText) and r.name.lower() == instance), None)
    if service is None or text is None or len(text.text) > _MAX_TXT_BYTES:
        return None
    target = service.server.lower()
    addresses = [r for r in records if isinstance(r, DNSAddress) and r.name.lower() == target]
    hosts = tuple(dict.fromkeys(str(ipaddress.ip_address(r.address)) for r in addresses))[:MAX_HOSTS]
    texts = _texts(text.text)
    node_id, device_id, port = (texts.get(key, "") for key in ("node_id", "device_id", "port"))
    hashes, proofs = (_hashes(texts.get(key, "")) for key in ("formation", "proof"))
    if not (hosts and hashes and _NODE_ID.fullmatch(node_id) and _DEVICE_ID.fullmatch(device_id)):
        return None
    if not (_PORT.fullmatch(port) and 1 <= int(port) <= 65535):
        return None
    lifetime = float(min(r.ttl for r in (service, text, *addresses)))
    if not lifetime:
        return None
    return Notice(label, NodeId(node_id), DeviceId(device_id), int(port), hashes, hosts, proofs), lifetime


def _hashes(text: str) -> tuple[str, ...]:
    return tuple(one for one in text.split(",") if _HASH.fullmatch(one))[:MAX_HASHES]


def _texts(text: bytes) -> dict[str, str]:
    """The strings `key=text` of a TXT record; the first of a key counts (RFC 6763, 6.4)."""
    texts: dict[str, str] = {}
    while text:
        string, text = text[1 : 1 + text[0]], text[1 + text[0] :]
        key, equals, value = string.decode("ascii", "replace").partition("=")
        if equals:
            texts.setdefault(key.lower(), value)
    return texts
