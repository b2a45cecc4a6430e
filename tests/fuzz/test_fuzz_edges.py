"""Every edge, fed what nobody should send: it takes it or raises its one documented error, and soon."""

import json

import pytest
from fuzz.targets import BROKE, TARGETS
from hypothesis import example, given
from hypothesis import strategies as st

from peatd.log_lines import json_line, text_line

# Of bytes at random nearly all are refused at the first: counts and tags of few bits get further.
JUNK = st.one_of(st.binary(max_size=200), st.lists(st.integers(0, 12), max_size=200).map(bytes))

SEEDED = sorted(name for name, target in TARGETS.items() if target.seeds)


@pytest.mark.parametrize("name", TARGETS)
@given(junk=JUNK)
@example(junk=b"")
@example(junk=b"\xff" * 20)
def test_a_decoder_takes_it_or_raises_its_one_error(name: str, junk: bytes) -> None:
    TARGETS[name].run(junk)


@pytest.mark.parametrize("name", SEEDED)
@given(data=st.data())
def test_what_is_nearly_good_too(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    mutant = bytearray(data.draw(st.sampled_from(list(target.seeds))))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(mutant)))
        mutant[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    target.run(bytes(mutant))


@pytest.mark.parametrize("name", SEEDED)
def test_what_is_good_is_taken(name: str) -> None:
    target = TARGETS[name]
    taken = 0
    for seed in target.seeds:
        try:
            target.decode(seed)
        except target.errors:
            continue
        taken += 1
    assert taken


@pytest.mark.parametrize("name", TARGETS)
def test_what_once_broke_something_breaks_nothing_else(name: str) -> None:
    for junk in BROKE:
        TARGETS[name].run(junk)


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
