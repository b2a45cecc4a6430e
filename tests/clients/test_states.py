"""Awareness updates, as y-protocols writes them."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peatd.clients.states import check, decode, encode
from peatd.errors import MalformedMessage
from peatd.speakers import Told
from peatd.wire.messages import MAX_STATE_BYTES

STATES = st.builds(
    Told, st.integers(0, 2**32 - 1), st.integers(0, 2**31), st.binary(max_size=40).filter(lambda s: s != b"null")
)


def test_what_y_protocols_wrote_is_read_and_written_alike() -> None:
    written = bytes.fromhex(
        "02" + "ffffffff0f" + "03" + "0c" + b'{"name":"a"}'.hex() + "05" + "02" + "04" + b"null".hex()
    )
    told = [Told(2**32 - 1, 3, b'{"name":"a"}'), Told(5, 2, b"")]
    assert decode(written) == told
    assert encode(told) == written


@given(st.lists(STATES, max_size=5))
def test_it_comes_back_as_it_went(told: list[Told]) -> None:
    assert decode(encode(told)) == told


@given(st.binary(max_size=64))
def test_whatever_the_bytes_there_is_one_error(junk: bytes) -> None:
    with suppress(MalformedMessage):
        decode(junk)


@pytest.mark.parametrize(
    "state",
    [
        *(b"{", b"NaN", b"[Infinity]", b"\xff", b"[" * 100_000, b""),
        # Python's JSON takes these as bytes; JavaScript's takes UTF-8, without a byte order mark and strictly.
        *(b"{\x00}\x00", b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b'"\xed\xa0\x80"'),
    ],
)
def test_a_state_that_other_clients_could_not_parse_is_refused(state: bytes) -> None:
    if state:
        with pytest.raises(MalformedMessage):
            check(Told(1, 1, state))
    else:
        check(Told(1, 1, state))


def test_a_large_state_and_a_large_id_are_refused() -> None:
    with pytest.raises(MalformedMessage, match=str(MAX_STATE_BYTES)):
        decode(encode([Told(1, 1, b'"' + b"x" * MAX_STATE_BYTES + b'"')]))
    with pytest.raises(MalformedMessage, match="32 bits"):
        decode(encode([Told(2**32, 1, b"{}")]))
