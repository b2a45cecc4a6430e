"""Hocuspocus' messages: y-websocket's behind a key, and its own kinds."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peatd.clients import hocuspocus, protocol
from peatd.clients.hocuspocus import Auth, Leave, Message, Stateless, decode
from peatd.clients.protocol import QueryAwareness, Step1, Unknown, Update
from peatd.errors import MalformedMessage

KEY = "notes/a"
PREFIX = "076e6f7465732f61"
FROZEN: list[tuple[str, Message]] = [
    ("00000100", Step1(b"\x00")),
    ("0002020000", Update(b"\x00\x00", is_step_2=False)),
    ("0401020000", Update(b"\x00\x00", is_step_2=True)),
    ("020003746f6b05342e382e30", Auth("tok")),
    ("0201", Unknown(2)),
    ("03", QueryAwareness()),
    ("05026869", Stateless("hi")),
    ("07", Leave()),
    ("63", Unknown(99)),
]


@pytest.mark.parametrize(("written", "message"), FROZEN)
def test_a_message_reads_as_the_provider_wrote_it(written: str, message: Message) -> None:
    assert decode(bytes.fromhex(PREFIX + written)) == (KEY, message)


@pytest.mark.parametrize("written", ["", "07", PREFIX, PREFIX + "0000", PREFIX + "0200", PREFIX + "0505", "01ff00"])
def test_a_message_that_is_cut_short_is_refused(written: str) -> None:
    with pytest.raises(MalformedMessage):
        decode(bytes.fromhex(written))


@given(st.binary(max_size=64))
def test_whatever_the_bytes_there_is_one_error(junk: bytes) -> None:
    with suppress(MalformedMessage):
        decode(junk)


def test_a_key_may_hold_the_session_of_a_provider() -> None:
    key, _ = decode(hocuspocus.prefix("notes/a\0x1") + protocol.step_1(b"\x00"))
    assert (key, hocuspocus.name_in(key)) == ("notes/a\0x1", "notes/a")


def test_what_we_write_is_what_providers_read() -> None:
    assert hocuspocus.authenticated(may_write=True) == bytes.fromhex("02020a") + b"read-write"
    assert hocuspocus.authenticated(may_write=False) == bytes.fromhex("020208") + b"readonly"
    assert hocuspocus.permission_denied("no") == bytes.fromhex("0201026e6f")
    assert hocuspocus.stateless("hi") == bytes.fromhex("05026869")
    assert hocuspocus.close("bye") == bytes.fromhex("0703627965")
    assert hocuspocus.sync_status(is_stored=True) == bytes.fromhex("0801")
    assert hocuspocus.sync_status(is_stored=False) == bytes.fromhex("0800")
