"""Every edge, fed what nobody should send: it takes it or raises its one documented error, and soon."""

import contextlib
import json
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from peatd.errors import ConfigError, InvalidName, MalformedUpdate, WireError
from peatd.formation import parse_formation_secret
from peatd.log_lines import json_line, text_line
from peatd.names import Address, parse_document_name
from peatd.papers.leaf import read_leaf
from peatd.reach import Reach, decode_state_vector
from peatd.update import check
from peatd.wire import messages
from peatd.wire.connection import Connection

DECODERS: dict[str, tuple[Callable[[bytes], object], type[Exception]]] = {
    "update": (lambda junk: check(junk, subdocuments=True), MalformedUpdate),
    "state vector": (decode_state_vector, MalformedUpdate),
    "reach": (Reach.decode, ValueError),
    "message": (messages.decode, WireError),
    "leaf": (read_leaf, AssertionError),
}

# Of bytes at random nearly all are refused at the first: counts and tags of few bits get further.
JUNK = st.one_of(st.binary(max_size=200), st.lists(st.integers(0, 12), max_size=200).map(bytes))


@pytest.mark.parametrize("decoder", DECODERS)
@given(junk=JUNK)
@example(junk=b"")
@example(junk=b"\xff" * 20)
def test_a_decoder_takes_it_or_raises_its_one_error(decoder: str, junk: bytes) -> None:
    decode, error = DECODERS[decoder]
    with contextlib.suppress(error):
        decode(junk)


@given(junk=JUNK, cut=st.integers(0, 200))
def test_a_connection_cut_anywhere_is_the_same(junk: bytes, cut: int) -> None:
    def receive(*parts: bytes) -> object:
        connection = Connection()
        received: list[object] = []
        try:
            for part in parts:
                received += connection.receive(part)
        except WireError:
            received.append(WireError)
        return received

    assert receive(junk) == receive(junk[:cut], junk[cut:])


@given(text=st.text(max_size=100))
def test_names_and_secrets_are_taken_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidName):
        assert parse_document_name(text) == text
    with contextlib.suppress(InvalidName):
        assert Address.parse(str(Address.parse(text))) == Address.parse(text)
    with contextlib.suppress(ConfigError):
        parse_formation_secret(text, "fuzz")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.builds(ValueError, st.text()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=12,
)


@given(event=st.text(), fields=st.dictionaries(st.text(), VALUES, max_size=4))
def test_a_log_line_is_one_line_whatever_is_in_it(event: str, fields: dict[str, object]) -> None:
    assert isinstance(json.loads(json_line("now", "info", event, fields)), dict)
    fields.pop("exception", None)
    line = text_line(is_coloured=False)("now", "info", event, fields)
    assert line.isprintable()
