"""From a node to a relay: certificates, proxies, and what answers there without being a relay."""

import base64
from pathlib import Path

import pytest
import trio
from fakes.certificates import Authority
from fakes.ports import free_port
from fakes.relays import answering, asker, relay_running
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection

from peatd.errors import ConfigError, RelayError
from peatd.names import Address
from peatd.relay import connecting
from peatd.relay.connecting import CERTIFICATE, NOT_A_RELAY, TIMEOUT, UNREACHABLE, Outward, connect
from peatd.relay_url import RelayUrl


def outward(authority: Authority, proxy: str | None = None, *unproxied: str) -> Outward:
    return Outward(authority.ca_file, proxy, unproxied)


async def refused(url: str, by: Outward | None = None) -> RelayError:
    with pytest.raises(RelayError) as caught:
        await connect(RelayUrl.parse(url), by or Outward())
    assert str(caught.value).startswith(url)
    return caught.value


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    async with relay_running(authority=Authority(tmp_path)) as relay:
        error = await refused(relay.url("https").text)
    assert (error.code, "certificate is not to be trusted" in str(error)) == (CERTIFICATE, True)
    assert "see --relay-ca-file" in str(error)


async def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with relay_running(authority=authority, at=Address("127.0.0.2", 0)) as relay:
        error = await refused(relay.url("https").text, outward(authority))
    assert (error.code, "127.0.0.2" in str(error)) == (CERTIFICATE, True)
    assert "--relay-ca-file" not in str(error), "which would not help"


@pytest.mark.parametrize(
    ("scheme", "answer", "code", "says"),
    [
        ("http", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", NOT_A_RELAY, "answers 404"),
        ("http", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", NOT_A_RELAY, "answers 200"),
        (
            "http",
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 90000\r\n\r\n" + b"x" * 90_000,
            NOT_A_RELAY,
            "answers 403",
        ),
        ("http", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", NOT_A_RELAY, "does not answer as a relay"),
        ("http", b"", NOT_A_RELAY, "does not answer as a relay"),
        ("https", b"HTTP/1.1 400 Bad Request\r\n\r\n", NOT_A_RELAY, "does not speak TLS"),
    ],
)
async def test_what_is_no_relay_is_told_from_one(scheme: str, answer: bytes, code: str, says: str) -> None:
    async def say(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        if answer:
            await stream.send_all(answer)
        await stream.send_eof()
        await stream.receive_some()

    async with answering(say) as at:
        error = await refused(f"{scheme}://{at}")
    assert (error.code, says in str(error)) == (code, True), str(error)


async def test_an_answer_without_end_is_not_waited_for() -> None:
    async def say(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 20")
        await stream.send_all(b"0 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await stream.receive_some()

    async with answering(say) as at:
        error = await refused(f"http://{at}")
    assert (error.code, "answers 200" in str(error)) == (NOT_A_RELAY, True), str(error)


async def test_a_websocket_that_speaks_something_else_is_no_relay() -> None:
    async def accept(stream: trio.SocketStream) -> None:
        script = WSConnection(ConnectionType.SERVER)
        script.receive_data(bytes(await stream.receive_some()))
        await stream.send_all(script.send(AcceptConnection()))
        await stream.receive_some()

    async with answering(accept) as at:
        error = await refused(f"http://{at}")
    assert (error.code, "a WebSocket that is no relay's" in str(error)) == (NOT_A_RELAY, True)


async def test_who_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "CONNECT_DEADLINE", 0.05)

    async def hang(_stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with answering(hang) as at:
        assert (await refused(f"https://{at}")).code == TIMEOUT


async def test_where_nobody_listens_the_reason_is_told() -> None:
    at = Address("127.0.0.1", free_port())
    error = await refused(f"tcp://{at}")
    assert (error.code, str(error)) == (UNREACHABLE, f"tcp://{at}: no connection to {at}: connection refused")


class Proxy:
    """Answers CONNECT, once it has seen whom it is for."""

    def __init__(self, status: str = "200 OK") -> None:
        self.heads: list[bytes] = []
        self._status = status

    async def __call__(self, stream: trio.SocketStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive_some()
        self.heads.append(head)
        await stream.send_all(f"HTTP/1.1 {self._status}\r\n\r\n".encode())
        if not self._status.startswith("200"):
            return
        host, port = head.split()[1].decode().rsplit(":", 1)
        inner = await trio.open_tcp_stream(host, int(port))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_pass_on, stream, inner)
            nursery.start_soon(_pass_on, inner, stream)


async def _pass_on(one: trio.abc.Stream, other: trio.abc.Stream) -> None:
    try:
        while data := await one.receive_some():
            await other.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    await trio.aclose_forcefully(other)


async def test_https_goes_through_the_proxy(tmp_path: Path) -> None:
    authority, proxy = Authority(tmp_path), Proxy()
    async with relay_running(authority=authority) as relay, answering(proxy) as at:
        by = outward(authority, f"http://user:pass%21@{at}")
        control = await asker("bob", outward=by).register(relay.url("https"))
        assert relay.switchboard.registrations == 1
        await trio.aclose_forcefully(control.stream)
    (head,) = proxy.heads
    assert head.startswith(f"CONNECT {relay.address} HTTP/1.1\r\n".encode())
    assert b"authorization: basic " + base64.b64encode(b"user:pass!").lower() in head.lower()


@pytest.mark.parametrize("unproxied", ["127.0.0.1", "*"])
async def test_but_not_to_hosts_that_are_reached_without(tmp_path: Path, unproxied: str) -> None:
    authority, proxy = Authority(tmp_path), Proxy()
    async with relay_running(authority=authority) as relay, answering(proxy) as at:
        stream = await connect(relay.url("https"), outward(authority, f"http://{at}", unproxied))
        await trio.aclose_forcefully(stream)
    assert proxy.heads == []


async def test_a_proxy_that_refuses_is_told_of_without_its_password(tmp_path: Path) -> None:
    async with answering(Proxy("407 Proxy Authentication Required")) as at:
        by = outward(Authority(tmp_path), f"http://user:hush@{at}")
        error = await refused("https://relay.example.org", by)
    assert (error.code, str(error)) == (UNREACHABLE, "https://relay.example.org: the proxy 127.0.0.1 answers 407")


def test_a_file_without_certificates_is_refused_at_the_start(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    for file in (empty, tmp_path / "nowhere"):
        with pytest.raises(ConfigError, match="--relay-ca-file"):
            Outward(file).check()
