"""What nodes say of themselves on a LAN, as bytes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zeroconf import DNSOutgoing, DNSPointer  # type: ignore[attr-defined]  # its __all__ is not complete

from peatd.discovery.dnssd import (
    MAX_HASHES,
    MAX_HOSTS,
    MAX_PACKET_BYTES,
    SERVICE,
    SERVICES,
    Asked,
    Notice,
    Told,
    farewell_packet,
    instance_name,
    notice_packet,
    question,
    read_packet,
    services_packet,
)
from peatd.errors import MalformedNotice
from peatd.names import DeviceId, NodeId

ALICE = Notice(
    "aa" * 16 + "-01020304",
    NodeId("alice"),
    DeviceId("aa" * 16),
    11204,
    ("0123456789abcdef", "fedcba9876543210"),
    ("192.0.2.1", "2001:db8::1"),
    ("00112233445566aa", "bb77889900112233"),
)

FROZEN = bytes.fromhex(
    "000084000000000500000000055f70656174045f756470056c6f63616c00000c000100000019002c296161616161616161616161616161"
    "6161616161616161616161616161616161612d3031303230333034c00cc02800218001000000190032000000002bc42961616161616161"
    "616161616161616161616161616161616161616161616161612d3031303230333034c017c028001080010000001900980d6e6f64655f69"
    "643d616c6963652a6465766963655f69643d61616161616161616161616161616161616161616161616161616161616161610a706f7274"
    "3d31313230342b666f726d6174696f6e3d303132333435363738396162636465662c666564636261393837363534333231302770726f6f"
    "663d303031313232333334343535363661612c62623737383839393030313132323333c06600018001000000190004c0000201c066001c"
    "800100000019001020010db8000000000000000000000001"
)


def whole(packet: bytes) -> Notice:
    told = read_packet(packet)
    assert isinstance(told, Told)
    [(notice, lifetime)] = told.notices
    assert lifetime == 25.0
    assert told.gone == frozenset()
    return notice


def test_a_notice_is_read_as_it_was_written() -> None:
    assert whole(notice_packet(ALICE, 25)) == ALICE


@given(
    node_id=st.from_regex(r"[A-Za-z0-9._:-]{1,247}", fullmatch=True),
    port=st.integers(1, 65535),
    hashes=st.lists(st.from_regex(r"[0-9a-f]{16}", fullmatch=True), min_size=1, max_size=MAX_HASHES),
    hosts=st.lists(st.ip_addresses().map(str), min_size=1, max_size=MAX_HOSTS, unique=True),
)
def test_any_notice_fits_a_packet_and_comes_back(node_id: str, port: int, hashes: list[str], hosts: list[str]) -> None:
    secrets = {"formations": tuple(hashes), "proofs": tuple(reversed(hashes))}
    notice = replace(ALICE, node_id=NodeId(node_id), port=port, hosts=tuple(hosts), **secrets)
    packet = notice_packet(notice, 25)
    assert len(packet) <= 1460
    read = whole(packet)
    assert sorted(read.hosts) == sorted(hosts)
    assert replace(read, hosts=notice.hosts) == notice


def test_its_bytes_never_change() -> None:
    """Nodes of different releases meet by them."""
    assert whole(FROZEN) == ALICE
    assert notice_packet(ALICE, 25) == FROZEN
    assert question([]).hex() == "000000000001000000000000055f70656174045f756470056c6f63616c00000c0001"
    assert farewell_packet("a").hex() == (
        "000084000000000100000000055f70656174045f756470056c6f63616c00000c00010000000000040161c00c"
    )


def test_a_question_tells_whom_it_knows() -> None:
    asked = read_packet(question([("a", 20.9), ("b", 3.0)]))
    assert asked == Asked(frozenset({SERVICE}), {"a": 20.0, "b": 3.0})


def test_a_farewell_takes_back() -> None:
    assert read_packet(farewell_packet("a")) == Told((), frozenset({"a"}))


def test_that_there_is_the_service_is_no_notice() -> None:
    assert read_packet(services_packet(25)) == Told((), frozenset())
    assert SERVICES.encode().split(b".")[0] in services_packet(25)


def test_names_are_read_in_any_case() -> None:
    assert whole(notice_packet(ALICE, 25).replace(b"_peat", b"_PEAT")) == ALICE


@pytest.mark.parametrize(
    "notice",
    [
        replace(ALICE, node_id=NodeId("two words")),
        replace(ALICE, node_id=NodeId("")),
        replace(ALICE, device_id=DeviceId("not hex")),
        replace(ALICE, formations=("no hash",)),
        replace(ALICE, formations=()),
        replace(ALICE, hosts=()),
        replace(ALICE, label="under_score"),
        replace(ALICE, port=0),
    ],
)
def test_what_is_not_whole_or_beyond_bounds_is_no_notice(notice: Notice) -> None:
    assert read_packet(notice_packet(notice, 25)) == Told((), frozenset())


def test_more_than_the_bounds_is_not_read() -> None:
    hosts = tuple(f"192.0.2.{n}" for n in range(20))
    assert len(whole(notice_packet(replace(ALICE, hosts=hosts), 25)).hosts) == MAX_HOSTS


def test_a_pointer_alone_is_no_notice() -> None:
    message = DNSOutgoing(0x8400)
    message.add_answer_at_time(DNSPointer(SERVICE, 12, 1, 25, instance_name("a")), 0)
    assert read_packet(message.packets()[0]) == Told((), frozenset())


@pytest.mark.parametrize("packet", [b"", b"\0" * 11, b"GET / HTTP/1.1\r\n\r\n", bytes(MAX_PACKET_BYTES + 1)])
def test_what_is_no_message_is_refused(packet: bytes) -> None:
    with pytest.raises(MalformedNotice):
        read_packet(packet)


@pytest.mark.parametrize("packet", [notice_packet(ALICE, 25), question([("a", 9.0)]), farewell_packet("a")])
def test_a_part_of_one_or_junk_behind_it_does_no_harm(packet: bytes) -> None:
    for length in range(len(packet)):
        try:
            read_packet(packet[:length])
        except MalformedNotice:
            continue
    assert read_packet(packet + b"junk") == read_packet(packet)
