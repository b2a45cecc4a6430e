"""`peat token`: tokens that every node of the formation accepts, made without a daemon."""

import json
import stat
import time
from pathlib import Path

import pytest
from run_peat import Peat

from peatd.client_tokens import verify
from peatd.formation import Formation, parse_formation_secret

SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


@pytest.fixture
def secret(tmp_path: Path) -> str:
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    return str(file)


def keys(formation: str = "peat") -> list[bytes]:
    return [Formation(formation, parse_formation_secret(SECRET, "test")).client_token_key(0)]


def test_a_token_is_what_a_node_of_the_formation_accepts(peat: Peat, secret: str) -> None:
    asked = time.time()
    ended = peat("token", "mint", "--documents", "notes/*", "--write", "--ttl", "1h", "--seed-file", secret)
    assert (ended.code, ended.err) == (0, "")
    grant = verify(ended.out.strip(), keys(), time.time())
    assert (grant.documents, grant.may_write) == (("notes/*",), True)
    assert asked + 3599 <= grant.expires <= time.time() + 3600


def test_it_reads_only_unless_told_and_is_for_whom_it_is_said(peat: Peat, secret: str) -> None:
    line = ("token", "mint", "--documents", "a/b", "--documents", "c/*", "--subject", "alice", "--seed-file", secret)
    told = json.loads(peat(*line, "--json").out)
    grant = verify(told["token"], keys(), time.time())
    assert (grant.subject, grant.documents, grant.may_write) == ("alice", ("a/b", "c/*"), False)
    assert told["expires"] == grant.expires


def test_another_formation_has_other_keys(peat: Peat, secret: str) -> None:
    ended = peat("token", "mint", "--documents", "a/b", "--formation", "fleet", "--seed-file", secret)
    assert verify(ended.out.strip(), keys("fleet"), time.time())


def test_the_secret_is_found_where_the_daemon_finds_it(peat: Peat, secret: str, tmp_path: Path) -> None:
    own = tmp_path / "data"
    own.mkdir()
    (own / "formation-secret").write_text(SECRET)
    line = ("token", "mint", "--documents", "a/b")
    for given in ({"PEAT_FORMATION_SECRET_FILE": secret}, {"PEAT_FORMATION_SECRET": SECRET}, {"PEAT_DATA_DIR": own}):
        ended = peat(*line, **{name: str(value) for name, value in given.items()})
        assert verify(ended.out.strip(), keys(), time.time()), given


def test_a_backend_is_given_the_key_and_not_the_secret(peat: Peat, secret: str, tmp_path: Path) -> None:
    import base64

    assert base64.b64decode(peat("token", "key", "--seed-file", secret).out) == keys()[0]
    out = tmp_path / "token.key"
    assert peat("token", "key", "--seed-file", secret, "--out", str(out)).out == f"{out}\n"
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert base64.b64decode(out.read_text()) == keys()[0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--documents", "notes"], "COLLECTION/ID"),
        (["--documents", "a/b", "--ttl", "soon"], "--ttl 'soon'"),
        (["--documents", "a/b", "--ttl", "0s"], "--ttl '0s'"),
        (["--documents", "a/b", "--ttl", "nan"], "--ttl 'nan'"),
        (["--documents", "a/b", "--subject", ""], "--subject"),
        ([], "--documents"),
    ],
)
def test_what_makes_no_token_is_2_and_says_why(peat: Peat, secret: str, arguments: list[str], says: str) -> None:
    ended = peat("token", "mint", "--seed-file", secret, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err


@pytest.mark.parametrize("content", [None, "", "no base64!", "c2hvcnQ="])
def test_a_secret_that_the_daemon_would_refuse_is_2(peat: Peat, tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_text(content)
    ended = peat("token", "mint", "--documents", "a/b", "--seed-file", str(file))
    assert (ended.code, ended.out) == (2, "")
    assert str(file) in ended.err
