"""y-websocket's messages: as npm's y-protocols writes them, in pieces, and as junk."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peatd.clients import protocol
from peatd.clients.protocol import Message, Presence, QueryAwareness, Step1, Unknown, Update, decode
from peatd.errors import MalformedMessage

FROZEN: list[tuple[str, Message]] = [
    ("00000100", Step1(b"\x00")),
    ("0001020000", Update(b"\x00\x00", is_step_2=True)),
    ("0002020000", Update(b"\x00\x00", is_step_2=False)),
    ("010401010027", Presence(b"\x01\x01\x00\x27")),
    ("03", QueryAwareness()),
    ("0200026e6f", Unknown(2)),
    ("63", Unknown(99)),
]


@pytest.mark.parametrize(("written", "message"), FROZEN)
def test_a_message_reads_as_it_was_written(written: str, message: Message) -> None:
    assert decode(bytes.fromhex(written)) == message
    assert decode(bytes.fromhex(written) + b"behind") == message  # lib0 does not look there either


@pytest.mark.parametrize(("written", "message"), [case for case in FROZEN if not isinstance(case[1], Unknown)])
def test_a_message_that_is_cut_short_is_refused(written: str, message: Message) -> None:
    whole = bytes.fromhex(written)
    for length in range(len(whole)):
        with pytest.raises(MalformedMessage):
            decode(whole[:length])


@given(st.binary(max_size=64))
def test_whatever_the_bytes_there_is_one_error(junk: bytes) -> None:
    with suppress(MalformedMessage):
        decode(junk)


@given(st.binary(max_size=300))
def test_what_we_write_is_what_clients_read(content: bytes) -> None:
    assert decode(protocol.step_1(content)) == Step1(content)
    assert decode(protocol.update(content)) == Update(content, is_step_2=False)
    assert decode(protocol.presence(content)) == Presence(content)
    head = protocol.head(protocol.SYNC, protocol.STEP_2, len(content))
    assert decode(head + content) == Update(content, is_step_2=True)


def test_a_step_that_there_is_not_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="no step 3"):
        decode(bytes.fromhex("000300"))


def test_denied_is_y_protocols_permission_denied() -> None:
    assert protocol.denied("no") == bytes.fromhex("0200026e6f")
