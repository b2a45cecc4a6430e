"""What is said to a relay and by it: frozen bytes, whole and in pieces, and nonsense."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peatd.errors import WireError
from peatd.identity import Keypair
from peatd.relay.protocol import (
    MAX_FRAME_BYTES,
    MAX_VOUCHERS,
    Accepted,
    Challenge,
    Frames,
    Incoming,
    Message,
    Ping,
    Pong,
    Refused,
    Request,
    Signer,
    Voucher,
    frame,
    signed_bytes,
)

NODE, FORMATION = Keypair.from_secret(b"\x01" * 32), Keypair.from_secret(b"\x02" * 32)
REQUEST = Signer(NODE, (FORMATION,)).request("dial", "ab" * 16, "relay:443", b"n" * 32)

MESSAGES: list[Message] = [
    Challenge(b"n" * 32),
    REQUEST,
    Accepted(),
    Refused("not-here", "nobody"),
    Incoming("0f" * 32),
    Ping(),
    Pong(),
]

FROZEN = [
    "0024" + "9201" + "c420" + "6e" * 32,
    None,  # below: it is long
    "0002" + "9103",
    "0012" + "9304" + "a8" + b"not-here".hex() + "a6" + b"nobody".hex(),
    "0044" + "9205" + "d940" + ("0f" * 32).encode().hex(),
    "0002" + "9106",
    "0002" + "9107",
]


@pytest.mark.parametrize(("message", "frozen"), list(zip(MESSAGES, FROZEN, strict=True)))
def test_messages_are_written_like_this_for_ever(message: Message, frozen: str | None) -> None:
    if frozen is not None:
        assert frame(message).hex() == frozen


def test_a_request_is_written_and_signed_like_this_for_ever() -> None:
    encoded = frame(REQUEST)
    key, voucher = REQUEST.public_key, REQUEST.vouchers[0]
    parts = ["9702", "a4" + b"dial".hex(), "d920" + ("ab" * 16).encode().hex(), "a9" + b"relay:443".hex()]
    parts += ["c420" + key.hex(), "c440" + REQUEST.signature.hex()]
    parts += ["91" + "92" + "c420" + voucher.key.hex() + "c440" + voucher.signature.hex()]
    assert encoded[2:].hex() == "".join(parts)
    signed = signed_bytes("dial", "ab" * 16, "relay:443", b"n" * 32, key)
    fields = [b"peatd relay v1", b"dial", ("ab" * 16).encode(), b"relay:443", b"n" * 32, key]
    assert signed == b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def heard(frames: Frames) -> list[Message]:
    messages = []
    while (message := frames.next()) is not None:
        messages.append(message)
    return messages


@pytest.mark.parametrize("step", [1, 2, 7, 10_000])
def test_frames_may_come_in_any_pieces(step: int) -> None:
    stream = b"".join(map(frame, MESSAGES))
    frames, messages = Frames(), []
    for start in range(0, len(stream), step):
        frames.receive(stream[start : start + step])
        messages += heard(frames)
    assert messages == MESSAGES
    assert frames.rest() == b""


def test_what_comes_behind_the_last_message_is_the_circuits() -> None:
    frames = Frames()
    frames.receive(frame(Accepted()) + b"\x16\x03\x01")
    assert frames.next() == Accepted()
    assert frames.rest() == b"\x16\x03\x01"
    assert frames.rest() == b""


def test_a_length_beyond_the_longest_is_refused_before_anything_is_kept() -> None:
    frames = Frames()
    frames.receive((MAX_FRAME_BYTES + 1).to_bytes(2, "big"))
    with pytest.raises(WireError):
        frames.next()


def test_a_request_with_all_vouchers_fits() -> None:
    keys = tuple(Keypair.from_secret(bytes([number]) * 32) for number in range(1, MAX_VOUCHERS + 5))
    request = Signer(NODE, keys).request("register", "ab" * 16, "h" * 250 + ":65535", b"n" * 32)
    assert len(request.vouchers) == MAX_VOUCHERS
    assert len(frame(request)) <= MAX_FRAME_BYTES


@given(st.binary(max_size=200))
def test_whatever_the_bytes_they_are_messages_or_a_wire_error(junk: bytes) -> None:
    for stream in (junk, len(junk).to_bytes(2, "big") + junk, frame(Ping()) + junk):
        frames = Frames()
        frames.receive(stream)
        try:
            heard(frames)
        except WireError:
            continue


@given(
    st.builds(
        Request,
        op=st.sampled_from(["register", "dial", "accept"]),
        target=st.text(max_size=64),
        name=st.from_regex(r"[!-~]{0,320}", fullmatch=True),
        public_key=st.binary(min_size=32, max_size=32),
        signature=st.binary(min_size=64, max_size=64),
        vouchers=st.lists(
            st.builds(Voucher, st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64)), max_size=8
        ),
    )
)
def test_requests_come_back_as_they_were(request: Request) -> None:
    frames = Frames()
    frames.receive(frame(request))
    assert frames.next() == request
