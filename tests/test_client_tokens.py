"""Client tokens: what one grants, and that nothing else is granted."""

import base64
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peatd.client_tokens import Grant, mint, verify
from peatd.errors import ConfigError, TokenRefused
from peatd.formation import Formation

KEY = Formation("peat", (bytes(32),)).client_token_key(0)
OLD_KEY = Formation("peat", (bytes([7]) * 32,)).client_token_key(0)
STRANGERS_KEY = Formation("other", (bytes(32),)).client_token_key(0)
NOW = 1_800_000_000.0
CLAIMS = {"sub": "alice", "exp": NOW + 60, "documents": ["notes/*"], "access": "write"}


def signed(key: bytes = KEY, algorithm: str = "HS256", **claims: object) -> str:
    return jwt.encode({**CLAIMS, **claims}, key, algorithm=algorithm)


def test_what_is_minted_is_granted_until_it_expires():
    token = mint(KEY, subject="alice", documents=["notes/*", "todo/a"], may_write=True, expires=NOW + 60)
    assert verify(token, [KEY], NOW) == Grant("alice", ("notes/*", "todo/a"), True, NOW + 60)
    with pytest.raises(TokenRefused, match="expired"):
        verify(token, [KEY], NOW + 60)


def test_a_token_reads_unless_it_says_write():
    token = mint(KEY, subject="alice", documents=["notes/*"], may_write=False, expires=NOW + 60)
    assert not verify(token, [KEY], NOW).may_write
    assert not verify(jwt.encode({k: v for k, v in CLAIMS.items() if k != "access"}, KEY), [KEY], NOW).may_write


def test_a_token_of_any_accepted_secret_counts():
    assert verify(signed(OLD_KEY), [KEY, OLD_KEY], NOW).subject == "alice"
    with pytest.raises(TokenRefused, match="not of this formation"):
        verify(signed(STRANGERS_KEY), [KEY, OLD_KEY], NOW)


def test_other_claims_are_let_be():
    assert verify(signed(aud="elsewhere", iss="backend", iat=NOW + 999, name="Alice"), [KEY], NOW).subject == "alice"


def test_a_token_of_the_future_is_not_valid_yet():
    with pytest.raises(TokenRefused, match="not valid yet"):
        verify(signed(nbf=NOW + 1), [KEY], NOW)
    assert verify(signed(nbf=NOW), [KEY], NOW)


def unsigned() -> str:
    def part(content: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(CLAIMS)}."


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="nothing"),
        pytest.param("a.b.c", id="no base64"),
        pytest.param("é", id="no ASCII"),
        pytest.param("x" * 5000, id="long"),
        pytest.param(unsigned(), id="unsigned"),
        pytest.param(signed(KEY * 2, "HS512"), id="another algorithm"),
        pytest.param(signed()[:-2] + "AA", id="a bad signature"),
        pytest.param(signed(documents="notes/*"), id="documents no list"),
        pytest.param(signed(documents=["notes"]), id="a document without an id"),
        pytest.param(signed(documents=["a/b/c"]), id="a path"),
        pytest.param(signed(documents=[1]), id="a document of a number"),
        pytest.param(signed(access="admin"), id="an access that there is not"),
        pytest.param(signed(sub=1), id="a subject of a number"),
        pytest.param(signed(exp="tomorrow"), id="an end of words"),
        pytest.param(signed(exp=True), id="an end of truth"),
        pytest.param(signed(exp=1e300), id="an end beyond time"),
        pytest.param(signed(nbf=[]), id="a begin of nothing"),
        pytest.param(jwt.encode({k: v for k, v in CLAIMS.items() if k != "exp"}, KEY), id="no end"),
        pytest.param(jwt.encode({k: v for k, v in CLAIMS.items() if k != "sub"}, KEY), id="no subject"),
    ],
)
def test_anything_else_is_refused_without_being_repeated(token):
    with pytest.raises(TokenRefused) as refused:
        verify(token, [KEY], NOW)
    assert not token or token not in str(refused.value)


@pytest.mark.parametrize(
    ("pattern", "name", "covered"),
    [
        ("notes/a", "notes/a", True),
        ("notes/a", "notes/ab", False),
        ("notes/*", "notes/a", True),
        ("notes/*", "note/a", False),
        ("notes/*", "notesx/a", False),
        ("*/*", "notes/a", True),
        ("*/a", "notes/b", False),
        ("notes/a*z", "notes/az", True),
        ("notes/a*z", "notes/a", False),
        ("notes/aa*aa", "notes/aaa", False),
        ("notes/*b*", "notes/abc", True),
        ("notes/*b*c*", "notes/acb", False),
        ("team.*/plan", "team.red/plan", True),
    ],
)
def test_a_star_stands_for_any_characters_of_one_part(pattern, name, covered):
    assert Grant("alice", (pattern,), False, NOW).covers(name) == covered


@given(st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=8), st.text("ab", min_size=1, max_size=8))
def test_a_pattern_covers_what_the_same_regular_expression_matches(parts, held):
    import re

    pattern = "".join(parts)
    expected = re.fullmatch(pattern.replace("*", ".*"), held) is not None
    assert Grant("alice", (f"n/{pattern}",), False, NOW).covers(f"n/{held}") == expected


@pytest.mark.parametrize("documents", [[], ["notes"], ["notes/"], ["/a"], ["a/b/c"], ["notes/ü"], [""]])
def test_a_token_for_no_document_is_not_minted(documents):
    with pytest.raises(ConfigError):
        mint(KEY, subject="alice", documents=documents, may_write=False, expires=NOW)


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda b: b.decode("latin-1")))
def test_whatever_is_shown_is_refused_in_one_way(text):
    with pytest.raises(TokenRefused):
        verify(text, [KEY], NOW)
