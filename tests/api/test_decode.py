"""The decoders of requests, against anything: they answer in their type or with a Refusal of status 400."""

from base64 import urlsafe_b64encode
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peatd.api.decode import (
    MAX_LIMIT,
    MAX_TIMEOUT,
    Query,
    Wait,
    parse_base64url,
    parse_if_match,
    parse_limit,
    parse_object,
    parse_state_vector,
    parse_wait,
)
from peatd.api.refusal import Refusal
from peatd.library import APPLIED, DURABLE, IfMatch, replicated
from peatd.update import EMPTY_STATE_VECTOR

ETAG = st.text(st.characters(codec="latin-1", exclude_categories=["Cc", "Zs"], exclude_characters='"\x7f\xad'))


def _or_none(parse, *given):
    """What was parsed; None where it was refused as it should be."""
    try:
        return parse(*given)
    except Refusal as refused:
        if refused.status != HTTPStatus.BAD_REQUEST:
            raise
        return None


def _wait(*pairs):
    return parse_wait(Query(pairs, ("ack", "timeout")))


@pytest.mark.parametrize(
    ("lines", "parsed"),
    [
        ([], None),
        (["*"], IfMatch(any_version=True)),
        ([" * "], IfMatch(any_version=True)),
        (['"a"'], IfMatch(etags=frozenset({"a"}))),
        (['""'], IfMatch(etags=frozenset({""}))),
        (['"a", "b,c" ,, W/"d"', '"e"'], IfMatch(etags=frozenset({"a", "b,c", "e"}))),
        (['W/"weak"'], IfMatch()),
    ],
)
def test_if_match_is_a_list_of_tags_or_a_star(lines, parsed):
    assert parse_if_match(lines) == parsed


@pytest.mark.parametrize("line", ["", ",", "a", '"a', '"a" "b"', '"a"b', '*, "a"', '"a", *', 'w/"a"', '"a b"', "'a'"])
def test_if_match_that_does_not_parse_is_refused(line):
    with pytest.raises(Refusal) as refused:
        parse_if_match([line])
    assert refused.value.status == 400


@given(st.lists(ETAG, min_size=1))
def test_if_match_round_trip(etags):
    assert parse_if_match([", ".join(f'"{etag}"' for etag in etags)]) == IfMatch(etags=frozenset(etags))


@given(st.lists(st.text() | st.text('"*,W/ \t')))
def test_if_match_of_anything(lines):
    parsed = _or_none(parse_if_match, lines)
    assert parsed is None or isinstance(parsed, IfMatch)


def test_a_condition_holds_for_the_versions_that_it_names():
    assert not IfMatch(any_version=True).holds(None)
    assert IfMatch(any_version=True).holds("a")
    assert IfMatch(etags=frozenset({"a"})).holds("a")
    assert not IfMatch(etags=frozenset({"a"})).holds("b")
    assert not IfMatch().holds("a")


@given(st.binary(), st.booleans())
def test_base64url_round_trip(octets, padded):
    text = urlsafe_b64encode(octets).decode()
    assert parse_base64url(text if padded else text.rstrip("="), "sv") == octets


@given(st.text() | st.text("Aa0-_=+/ \n"))
def test_base64url_of_anything(text):
    octets = _or_none(parse_base64url, text, "sv")
    assert octets is None or urlsafe_b64encode(octets).decode().rstrip("=")[:-1] == text.rstrip("=")[:-1]


def test_without_a_state_vector_everything_is_lacking():
    assert parse_state_vector(None) == EMPTY_STATE_VECTOR
    assert parse_state_vector("AA") == b"\x00"


def test_a_wait_has_defaults_and_limits():
    assert _wait() == Wait(DURABLE, 10.0)
    assert _wait(("ack", "applied"), ("timeout", "0.5")) == Wait(APPLIED, 0.5)
    assert _wait(("ack", "replicated:3"), ("timeout", f"{MAX_TIMEOUT:.0f}")) == Wait(replicated(3), MAX_TIMEOUT)


@given(
    st.lists(
        st.tuples(st.sampled_from(["ack", "timeout", "x"]), st.text() | st.text("0123456789.:replicated")), max_size=3
    )
)
def test_a_wait_of_anything(pairs):
    wait = _or_none(_wait, *pairs)
    if wait is not None:
        assert 0 <= wait.timeout <= MAX_TIMEOUT
        assert str(wait.ack) == dict(pairs).get("ack", "durable") or wait.ack.peers


@given(st.text() | st.integers(-5, 2000).map(str))
def test_a_limit_of_anything(text):
    limit = _or_none(parse_limit, text)
    assert limit is None or 1 <= limit <= MAX_LIMIT


@given(st.binary())
def test_an_object_of_any_bytes(body):
    parsed = _or_none(parse_object, body)
    assert parsed is None or isinstance(parsed, dict)


def test_rungs_are_ordered_by_height():
    assert APPLIED < DURABLE < replicated(1) < replicated(2)
    assert [str(ack) for ack in (APPLIED, DURABLE, replicated(2))] == ["applied", "durable", "replicated:2"]
