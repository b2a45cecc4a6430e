"""Exit codes, streams, and where the common options may stand."""

import os
import subprocess
from pathlib import Path

import pytest
from fakes.node_api import FakeNode
from run_peat import PROGRAM, Ended, Peat, PeatProcess

ERROR = b'{"error": {"code": "c", "message": "the reason.", "hint": "what the API suggests"}}'


@pytest.mark.parametrize(
    ("status", "code", "hint"),
    [
        (400, 1, "what the API suggests"),
        (401, 1, "--token-file"),
        (403, 1, "what the API suggests"),
        (404, 1, "`peat docs list`"),
        (409, 1, "what the API suggests"),
        (412, 1, "`peat docs get --etag`"),
        (413, 1, "what the API suggests"),
        (422, 1, "what the API suggests"),
        (500, 4, "what the API suggests"),
        (503, 4, "`peat ready`"),
        (504, 4, "--ack"),
    ],
)
def test_a_refusal_is_1_and_a_failure_is_4(peat: Peat, node: FakeNode, status: int, code: int, hint: str) -> None:
    node.canned["/api/v1/documents/notes/a"] = (status, ERROR)
    ended = peat("docs", "put", "notes/a", "{}")
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith("peat: the reason; ")
    assert hint in ended.err
    as_json = peat("docs", "put", "notes/a", "{}", "--json")
    assert (as_json.code, as_json.out) == (code, ERROR.decode() + "\n")
    assert as_json.err == ended.err


@pytest.mark.parametrize("status", [200, 301, 404])
@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[" * 100_000, b"\xff", b'{"error": "x", "peers": 3}'])
def test_an_answer_that_makes_no_sense_is_4(peat: Peat, node: FakeNode, status: int, body: bytes) -> None:
    node.canned["/api/v1/peers"] = (status, body)
    ended = peat("peers")
    assert (ended.code, ended.out) == (4, "")
    assert ended.err.startswith("peat: ")


def test_a_hint_is_there_even_if_the_api_has_none(peat: Peat, node: FakeNode) -> None:
    for status, tried in ((400, "peat --help"), (500, "daemon's log")):
        node.canned["/api/v1/peers"] = (status, b'{"error": {"code": "c", "message": "m", "hint": null}}')
        assert tried in peat("peers").err


def test_errors_cannot_steer_the_terminal(peat: Peat, node: FakeNode) -> None:
    node.canned["/api/v1/peers"] = (400, b'{"error": {"code": "c", "message": "\\u001b[2J", "hint": null}}')
    assert "\x1b" not in peat("peers").err


OPTIONS_ANYWHERE = [
    ("--api", "{url}", "--json", "docs", "list"),
    ("docs", "--api", "{url}", "--json", "list"),
    ("docs", "list", "--api", "{url}", "--json"),
    ("docs", "list", "--json", "--api={url}"),
    ("--api", "http://127.0.0.1:1", "docs", "list", "--json", "--api", "{url}"),
]


@pytest.mark.parametrize("arguments", OPTIONS_ANYWHERE, ids=" ".join)
def test_common_options_stand_before_or_after_the_verb(peat: Peat, node: FakeNode, arguments: tuple[str, ...]) -> None:
    ended = peat(*(argument.format(url=node.url) for argument in arguments))
    assert (ended.code, ended.out) == (0, '{"documents": []}\n')


def refused(peat: Peat, *arguments: str) -> Ended:
    ended = peat(*arguments)
    assert (ended.code, ended.out) == (2, "")
    return ended


@pytest.mark.parametrize(
    "api",
    [
        "ftp://host",
        "localhost:8081",
        "http://",
        "http://h:99999",
        "http://h:0",
        "http://u:p@h",
        "http://h?x",
        "http://h\nb",
        "http://h b",
        "http://[::1",
        "x",
    ],
)
@pytest.mark.parametrize("verb", ["ready", "peers"])
def test_an_address_that_is_none_is_2(peat: Peat, api: str, verb: str) -> None:
    assert "write http://HOST:PORT or unix:PATH" in refused(peat, verb, "--api", api).err


def test_an_empty_common_option_is_2(peat: Peat) -> None:
    assert "--api is empty" in refused(peat, "peers", "--api", "").err
    assert "--api is empty" in refused(peat, "ready", "--api=").err


@pytest.mark.parametrize("arguments", [(), ("nope",), ("peers", "extra"), ("peers", "--nope"), ("secret",)])
def test_wrong_usage_is_2_and_points_to_help(peat: Peat, arguments: tuple[str, ...]) -> None:
    assert "--help" in refused(peat, *arguments).err


def test_help_states_the_exit_codes(peat: Peat) -> None:
    ended = peat("--help")
    assert (ended.code, ended.err) == (0, "")
    words = " ".join(ended.out.split())
    for code in ("0 yes", "1 no", "2 wrong usage", "3 no daemon answers", "4 the API failed", "504"):
        assert code in words
    assert "\x1b" not in ended.out
    assert "─" not in ended.out


@pytest.mark.parametrize("token_file", [True, False], ids=["--token-file", "data directory"])
def test_over_tcp_the_token_goes_along(peat: Peat, node: FakeNode, tmp_path: Path, *, token_file: bool) -> None:
    node.token = "s3cret"
    path = tmp_path / "t" if token_file else tmp_path / "node" / "api.token"
    path.write_text("s3cret\n")
    assert peat("peers", "--api", node.url, *(("--token-file", str(path)) if token_file else ())).code == 0
    assert node.requests[-1].headers["Authorization"] == "Bearer s3cret"


def test_without_a_token_it_is_refused_and_told_how_to_name_one(peat: Peat, node: FakeNode) -> None:
    node.token = "s3cret"
    ended = peat("peers", "--api", node.url)
    assert ended.code == 1
    assert "--token-file" in ended.err


def test_over_the_socket_no_token_is_sent(peat: Peat, node: FakeNode, tmp_path: Path) -> None:
    (tmp_path / "node" / "api.token").write_text("s3cret")
    assert peat("peers").code == 0
    assert "Authorization" not in node.requests[-1].headers


@pytest.mark.parametrize("content", [None, b"", b"a b", b"x\r\nEvil: 1", b"\xff"])
def test_a_token_file_without_a_token_is_2(peat: Peat, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    ended = refused(peat, "peers", "--api", "http://127.0.0.1:1", "--token-file", str(path))
    assert "--token-file" in ended.err
    assert "Evil" not in ended.err


@pytest.mark.parametrize("arguments", [("peers",), ("docs", "get", "a/b"), ("peers", "--api", "unix:/nonexistent")])
def test_nobody_there_is_3(peat: Peat, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ended = peat(*arguments, PEAT_DATA_DIR=str(tmp_path))
    assert (ended.code, ended.out) == (3, "")
    assert "--data-dir" in ended.err


@pytest.mark.parametrize("verb", ["ready", "peers"])
def test_a_sockets_path_may_be_longer_than_unix_has_it(
    peat_process: PeatProcess, node: FakeNode, tmp_path: Path, verb: str
) -> None:
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True)
    (deep / "api.sock").symlink_to(node.socket)
    assert peat_process(verb, "--data-dir", str(deep)).code == 0
    assert peat_process(verb, "--data-dir", str(deep / "z")).code == 3


def test_a_reader_that_left_is_141_without_a_word(node: FakeNode, environ: dict[str, str]) -> None:
    assert node.socket
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run((*PROGRAM, "node"), env=environ, stdout=writer, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_full_disk_behind_stdout_is_told(node: FakeNode, environ: dict[str, str]) -> None:
    assert node.socket
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run((*PROGRAM, "node"), env=environ, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert b"No space left" in done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


CLOSED = [("node",), ("peers",), ("docs", "list"), ("docs", "watch"), ("peers", "--watch"), ("ready",), ("version",)]


@pytest.mark.parametrize("verb", CLOSED, ids=" ".join)
def test_a_closed_stdout_is_told(node: FakeNode, environ: dict[str, str], verb: tuple[str, ...]) -> None:
    assert node.socket
    done = without_stream(1, verb, environ)
    assert (done.returncode, done.stderr) == (1, b"peat: stdout is closed; leave it open for the answer\n")


def test_a_closed_stderr_harms_nothing(node: FakeNode, environ: dict[str, str]) -> None:
    assert node.socket
    assert without_stream(2, ("version",), environ).returncode == 0
    assert without_stream(2, ("docs", "get", "notes/none"), environ).returncode == 1
    assert without_stream(2, ("nope",), environ).returncode == 2


def test_a_closed_stdin_is_told_when_it_is_asked_for(node: FakeNode, environ: dict[str, str]) -> None:
    assert without_stream(0, ("version",), environ).returncode == 0
    done = without_stream(0, ("docs", "put", "notes/a", "-"), environ)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"peat: stdin is closed; ")
    assert node.documents == {}


def without_stream(number: int, verb: tuple[str, ...], environ: dict[str, str]) -> "subprocess.CompletedProcess[bytes]":
    """Runs `peat` with that descriptor closed, as `>&-` does."""
    shell = ("sh", "-c", f'exec "$@" {number}>&-', "sh", *PROGRAM, *verb)
    return subprocess.run(shell, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
