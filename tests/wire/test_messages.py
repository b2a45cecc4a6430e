"""The wire format: frozen bytes per message, round trips, and a decoder that raises nothing but `WireError`."""

import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peatd.errors import WireError
from peatd.wire.gossip import (
    Accusation,
    Accused,
    Held,
    Members,
    MembersDigest,
    MembersHeld,
    Probe,
    Probed,
    SignedCard,
)
from peatd.wire.horizon import Horizon, Known
from peatd.wire.interest import CompareShared, CopiesTold, Copy, OfferShared, Release, Released
from peatd.wire.members import MAX_REVOKED, Accepts, Revoked, RevokedDigest, RevokedKey
from peatd.wire.messages import (
    MAX_FRAME_BYTES,
    MAX_PRESENCE_CLOCK,
    Compare,
    Durable,
    Equal,
    Goaway,
    Graft,
    Having,
    Hello,
    Message,
    Offer,
    Offered,
    Piece,
    Ping,
    Pong,
    Presence,
    Present,
    Prune,
    Reached,
    State,
    Tombstone,
    Updates,
    decode,
    encode,
)

DIGEST = bytes(range(16))
FINGERPRINT = "0123456789abcdef"
DIGEST_HEX = "c410000102030405060708090a0b0c0d0e0f"

FROZEN: list[tuple[Message, str]] = [
    (
        Hello(1, "peat-mesh-0", "peat", DIGEST, 1048576, "0.1.0", links=3, max_links=16),
        f"dc00100101ab706561742d6d6573682d30a470656174{DIGEST_HEX}ce00100000a5302e312e30c2c290c2c2c2900310",
    ),
    (Ping(7), "920207"),
    (Pong(2**53 - 1), "9203cf001fffffffffffff"),
    (Goaway("shutdown", "bye"), "9304a873687574646f776ea3627965"),
    (Compare("a", [DIGEST] * 16), "930aa161dc0010" + DIGEST_HEX * 16),
    (Offer("", [Offered("notes/a", 2, True, DIGEST)]), f"930ba09195a76e6f7465732f6102c3{DIGEST_HEX}00"),
    (State("notes/a", 1, b"\x00", DIGEST, 5, 6, False), f"990ca76e6f7465732f6101c40100{DIGEST_HEX}0506c290"),
    (Updates("notes/a", 1, 2, 3, [b"u", b""]), "970da76e6f7465732f6101020392c40175c400c3"),
    (Piece("notes/a", 1, 2, 3, 4, 0, b"part"), "980ea76e6f7465732f610102030400c40470617274"),
    (Tombstone("notes/a", 300, 7, [5], 60), "960fa76e6f7465732f61cd012c0791053c"),
    (
        Presence("notes/a", [Present(2**32 - 1, 3, b"{}"), Present(1, 2, b"")]),
        "9412a76e6f7465732f619293ceffffffff03c4027b7d930102c400c400",
    ),
    (Durable([Reached("notes/a", 1, 9)]), "92109193a76e6f7465732f610109"),
    (Equal(), "9111"),
    (
        Horizon(b"epoch 01", 7, DIGEST, 2, [Known(DIGEST, b"epoch 02", 300)]),
        f"961ec40865706f6368203031 07{DIGEST_HEX}029193{DIGEST_HEX}c40865706f6368203032cd012c".replace(" ", ""),
    ),
    (Accepts([FINGERPRINT]), "921391b030313233343536373839616263646566"),
    (
        Revoked([RevokedKey("0" * 32, 7, "f" * 32, FINGERPRINT, b"s" * 64)]),
        f"92149195d920{'30' * 32}07d920{'66' * 32}b0{FINGERPRINT.encode().hex()}c440{'73' * 64}",
    ),
    (RevokedDigest(DIGEST), f"9215{DIGEST_HEX}"),
    (Members([SignedCard(b"card", b"s" * 64, 9)]), f"92289193c40463617264c440{'73' * 64}09"),
    (MembersHeld([Held(DIGEST, 1, 2)]), f"92299193{DIGEST_HEX}0102"),
    (MembersDigest(DIGEST), f"922a{DIGEST_HEX}"),
    (Accused([Accusation(DIGEST, 1, DIGEST, b"s" * 64)]), f"922b9194{DIGEST_HEX}01{DIGEST_HEX}c440{'73' * 64}"),
    (Probe(DIGEST), f"922c{DIGEST_HEX}"),
    (Probed(DIGEST, True), f"932d{DIGEST_HEX}c3"),
    (Having([Offered("notes/a", 2, False, DIGEST)]), f"922e9195a76e6f7465732f6102c2{DIGEST_HEX}00"),
    (Graft(), "912f"),
    (Prune("notes/a"), "9230a76e6f7465732f61"),
    (
        CopiesTold([Copy("notes/a", 1, b""), Copy("notes/b", 2, DIGEST)]),
        f"923c9293a76e6f7465732f6101c40093a76e6f7465732f6202{DIGEST_HEX}",
    ),
    (Release("notes/a", 1, DIGEST, 7), f"953da76e6f7465732f6101{DIGEST_HEX}07"),
    (Released("notes/a", 1, 7, True), "953ea76e6f7465732f610107c3"),
    (CompareShared("a", [DIGEST] * 16), "933fa161dc0010" + DIGEST_HEX * 16),
    (OfferShared("", [Copy("notes/a", 2, DIGEST)]), f"9340a09193a76e6f7465732f6102{DIGEST_HEX}"),
]

counts = st.integers(0, 2**53 - 1)
clients = st.integers(0, 2**32 - 1)
clocks = st.integers(0, MAX_PRESENCE_CLOCK)
names = st.text(max_size=60)
digests = st.binary(min_size=16, max_size=16)
epochs = st.binary(min_size=8, max_size=8)
printable = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=60)
former = st.lists(st.integers(0, 2**32 - 1), max_size=3)
blobs = st.binary(max_size=200)
fingerprints = st.from_regex(r"\A[0-9a-f]{16}\Z")
devices = st.from_regex(r"\A[0-9a-f]{32}\Z")
signatures = st.binary(min_size=64, max_size=64)
copies = st.builds(Copy, names, counts, st.one_of(st.just(b""), digests))
revoked = st.builds(
    RevokedKey, devices, st.integers(0, 253_402_300_799), devices, fingerprints, st.binary(min_size=64, max_size=64)
)

ANY: dict[type[Message], st.SearchStrategy[Message]] = {
    Hello: st.builds(
        *(Hello, counts, printable.filter(bool), names, digests, counts, printable, st.booleans(), st.booleans()),
        *(st.lists(fingerprints, max_size=3), st.booleans(), st.booleans(), st.booleans(), st.lists(names, max_size=3)),
    ),
    Presence: st.builds(Presence, names, st.lists(st.builds(Present, clients, clocks, blobs), max_size=5), digests),
    Ping: st.builds(Ping, counts),
    Pong: st.builds(Pong, counts),
    Goaway: st.builds(Goaway, printable, printable),
    Compare: st.builds(Compare, names, st.lists(digests, min_size=16, max_size=16)),
    Equal: st.builds(Equal),
    Offer: st.builds(
        Offer, names, st.lists(st.builds(Offered, names, counts, st.booleans(), digests, counts), max_size=5)
    ),
    State: st.builds(State, names, counts, blobs, digests, counts, counts, st.booleans(), former),
    Updates: st.builds(Updates, names, counts, counts, counts, st.lists(blobs, max_size=5), st.booleans()),
    Piece: st.builds(Piece, names, counts, counts, counts, counts, counts, blobs),
    Tombstone: st.builds(Tombstone, names, counts, counts, former, counts),
    Horizon: st.builds(
        Horizon, epochs, counts, digests, counts, st.lists(st.builds(Known, digests, epochs, counts), max_size=5)
    ),
    Accepts: st.builds(Accepts, st.lists(fingerprints, max_size=3)),
    Revoked: st.builds(Revoked, st.lists(revoked, max_size=2)),
    RevokedDigest: st.builds(RevokedDigest, digests),
    Members: st.builds(Members, st.lists(st.builds(SignedCard, blobs, signatures, counts), max_size=3)),
    MembersHeld: st.builds(MembersHeld, st.lists(st.builds(Held, digests, counts, counts), max_size=3)),
    MembersDigest: st.builds(MembersDigest, digests),
    Accused: st.builds(Accused, st.lists(st.builds(Accusation, digests, counts, digests, signatures), max_size=3)),
    Probe: st.builds(Probe, digests),
    Having: st.builds(Having, st.lists(st.builds(Offered, names, counts, st.booleans(), digests, counts), max_size=5)),
    Graft: st.builds(Graft),
    Prune: st.builds(Prune, names),
    Probed: st.builds(Probed, digests, st.booleans()),
    CopiesTold: st.builds(CopiesTold, st.lists(copies, max_size=3)),
    Release: st.builds(Release, names, counts, digests, counts),
    Released: st.builds(Released, names, counts, counts, st.booleans()),
    CompareShared: st.builds(CompareShared, names, st.lists(digests, min_size=16, max_size=16)),
    OfferShared: st.builds(OfferShared, names, st.lists(copies, max_size=3)),
    Durable: st.builds(Durable, st.lists(st.builds(Reached, names, counts, counts), max_size=5)),
}
any_message = st.one_of(list(ANY.values()))


@pytest.mark.parametrize(("message", "frozen"), FROZEN, ids=lambda value: type(value).__name__)
def test_its_bytes_are_fixed_for_ever(message: Message, frozen: str) -> None:
    assert encode(message).hex() == frozen
    assert decode(bytes.fromhex(frozen)) == message


def test_every_message_is_frozen_and_tried() -> None:
    every = set(Message.__args__)
    assert {type(message) for message, _ in FROZEN} == every == set(ANY)


@given(any_message)
def test_what_was_sent_is_what_arrives(message: Message) -> None:
    assert decode(encode(message)) == message


@given(any_message, st.data())
def test_a_damaged_message_is_a_wire_error_or_another_message(message: Message, data: st.DataObject) -> None:
    damaged = bytearray(encode(message))
    at = data.draw(st.integers(0, len(damaged) - 1))
    damaged[at] = data.draw(st.integers(0, 255))
    _decode(damaged[: data.draw(st.integers(0, len(damaged)))])


@given(st.binary(max_size=300))
def test_whatever_the_bytes_nothing_but_a_wire_error(junk: bytes) -> None:
    _decode(junk)


@pytest.mark.parametrize(("message", "_frozen"), FROZEN)
def test_junk_behind_a_message_is_refused(message: Message, _frozen: str) -> None:
    with pytest.raises(WireError):
        decode(encode(message) + b"\x00")


@pytest.mark.parametrize(("message", "_frozen"), FROZEN)
def test_half_a_message_is_refused(message: Message, _frozen: str) -> None:
    whole = encode(message)
    for length in range(len(whole)):
        with pytest.raises(WireError):
            decode(whole[:length])


def test_a_later_release_may_add_fields_at_the_end() -> None:
    assert decode(msgspec.msgpack.encode([2, 7, "new", {"in": [1.5]}])) == Ping(7)
    assert decode(bytes.fromhex("960da76e6f7465732f6101020392c40175c400")) == Updates("notes/a", 1, 2, 3, [b"u", b""])


@pytest.mark.parametrize(
    "hostile",
    [
        b"\x96\x0d\xa1a\x00\x00\x00\xdd\xff\xff\xff\xff",
        b"\x92\x10\xdd\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\x92\x02\xc6\xff\xff\xff\xff",
        b"\x91" * MAX_FRAME_BYTES,
        b"\x93\x02\x01" + b"\x91" * (MAX_FRAME_BYTES - 3),
        b"\x93\x02\x01" + b"\x81\x01" * (MAX_FRAME_BYTES // 2 - 3),
    ],
)
def test_a_declared_size_costs_nothing(hostile: bytes) -> None:
    began = time.process_time()
    with pytest.raises(WireError):
        decode(hostile)
    assert time.process_time() - began < 0.5


def test_a_frame_full_of_empty_entries_is_refused() -> None:
    with pytest.raises(WireError):
        decode(encode(Updates("notes/a", 1, 2, 3, [b""] * 65_537)))
    with pytest.raises(WireError):
        decode(encode(Durable([Reached("", 0, 0)] * 65_537)))
    with pytest.raises(WireError):
        decode(encode(Offer("", [Offered("", 0, False, DIGEST)] * 4_097)))


@pytest.mark.parametrize("word", ["a\nb", "\x1b[2J", "a\x00", "a\x85b", "a\n"])
def test_what_operators_are_shown_moves_no_cursor(word: str) -> None:
    for message in (
        Hello(1, word, "peat", DIGEST, 1048576, "0.1.0"),
        Hello(1, "alice", "peat", DIGEST, 1048576, word),
        Goaway(word, "bye"),
        Goaway("shutdown", word),
    ):
        with pytest.raises(WireError):
            decode(encode(message))


@pytest.mark.parametrize("secrets", [["0"], ["0123456789ABCDEF"], ["0123456789abcdef\n"], ["0" * 16] * 65, [7]])
def test_a_secret_is_called_by_its_fingerprint(secrets: list[str]) -> None:
    with pytest.raises(WireError):
        decode(msgspec.msgpack.encode([19, secrets]))


def test_more_revoked_keys_than_can_be_checked_at_once_are_refused() -> None:
    with pytest.raises(WireError):
        decode(encode(Revoked([RevokedKey("0" * 32, 7, "f" * 32, FINGERPRINT, b"s" * 64)] * (MAX_REVOKED + 1))))


def test_a_hello_of_a_release_that_knows_nothing_of_awareness_says_so() -> None:
    old = bytes.fromhex(f"970101ab706561742d6d6573682d30a470656174{DIGEST_HEX}ce00100000a5302e312e30")
    assert decode(old) == Hello(1, "peat-mesh-0", "peat", DIGEST, 1048576, "0.1.0", awareness=False)


@pytest.mark.parametrize("count", [-1, 2**53, 1.5, None, "1"])
def test_a_count_is_a_count(count: object) -> None:
    with pytest.raises(WireError):
        decode(msgspec.msgpack.encode([2, count]))


def _decode(junk: bytes | bytearray) -> None:
    try:
        message = decode(bytes(junk))
    except WireError:
        return
    # What decodes is a message in full, so it can be sent on.
    assert decode(encode(message)) == message
