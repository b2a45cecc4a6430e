"""Strangers of every kind at both doors: each is refused in time, and the stream is closed."""

import contextlib
import ssl
from collections.abc import Awaitable, Callable

import pytest
import trio
from fakes.links import credentials
from fakes.meeting import Script, meets, met_by
from fakes.strangers import context, formation_authority, own_authority, thieving_authority
from trio.testing import MockClock

from peatd.papers.certificates import Authority
from peatd.transport.tls_stream import TlsStream


def client(authority: Authority | None, **kwargs: object) -> Script:
    """A stranger that opens TLS and then says what an initiator says."""

    async def run(stream: trio.abc.Stream) -> None:
        tls = TlsStream(stream, context(ssl.PROTOCOL_TLS_CLIENT, authority, **kwargs), server_side=False)
        try:
            await tls.handshake()
            await tls.send_all(bytes(32))
            await trio.sleep_forever()
        except trio.BrokenResourceError:
            return

    return run


def server(authority: Authority, **kwargs: object) -> Script:
    """A stranger that answers TLS, and to a proof with nonsense."""

    async def run(stream: trio.abc.Stream) -> None:
        tls = TlsStream(stream, context(ssl.PROTOCOL_TLS_SERVER, authority, **kwargs), server_side=True)
        try:
            await tls.handshake()
            await tls.send_all(bytes(64))
            await trio.sleep_forever()
        except trio.BrokenResourceError:
            return

    return run


@pytest.mark.parametrize(
    ("stranger", "code"),
    [
        (client(None), "not-our-formation"),
        (client(own_authority()), "not-our-formation"),
        (client(thieving_authority()), "not-our-formation"),
        (client(formation_authority(), alpn=["h2"]), "not-peat"),
        (client(formation_authority(), alpn=[]), "not-peat"),
        (client(formation_authority(), version=ssl.TLSVersion.TLSv1_2), "not-peat"),
        # It has a leaf of our CA, and does not know the proof's key.
        (client(formation_authority()), "timeout"),
    ],
    ids=["no-certificate", "own-ca", "stolen-ca-name", "wrong-alpn", "no-alpn", "tls-1.2", "no-proof"],
)
async def test_a_stranger_that_dials_is_refused(
    stranger: Script,
    code: str,
    autojump_clock: MockClock,
) -> None:
    assert (await met_by(stranger)).code == code


@pytest.mark.parametrize(
    ("stranger", "code"),
    [
        (server(own_authority()), "not-our-formation"),
        (server(thieving_authority()), "not-our-formation"),
        (server(formation_authority(), alpn=["h2"]), "not-peat"),
        (server(formation_authority(), version=ssl.TLSVersion.TLSv1_2), "not-peat"),
        (server(formation_authority()), "proof"),
    ],
    ids=["own-ca", "stolen-ca-name", "wrong-alpn", "tls-1.2", "no-proof"],
)
async def test_a_stranger_that_is_dialled_is_refused(
    stranger: Script,
    code: str,
    autojump_clock: MockClock,
) -> None:
    assert (await meets(stranger)).code == code


@pytest.mark.parametrize(
    ("alert", "code", "message"),
    [
        (b"\x02\x78", "not-peat", "it does not speak TLS as peat does (tlsv1 alert no application protocol)"),
        (b"\x02\x70", "not-peat", "it does not speak TLS as peat does (TLSV1_UNRECOGNIZED_NAME)"),
        (b"\x01\x00", "closed", "the connection was closed in the handshake"),
    ],
    ids=["no-application-protocol", "unrecognized-name", "close-notify"],
)
async def test_what_a_stranger_says_in_its_alert_is_told(
    alert: bytes, code: str, message: str, autojump_clock: MockClock
) -> None:
    async def say(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(b"\x15\x03\x03\x00\x02" + alert)

    refused = await meets(say)
    assert (refused.code, str(refused)) == (code, message)


@pytest.mark.parametrize(
    "opening",
    [b"GET / HTTP/1.1\r\nHost: peat\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n", bytes(600), b"\x16\x03\x01\xff\xff"],
)
async def test_what_is_not_tls_is_refused(opening: bytes, autojump_clock: MockClock) -> None:
    async def say(stream: trio.abc.Stream) -> None:
        await stream.send_all(opening)

    assert (await met_by(say)).code in {"not-peat", "timeout"}
    assert (await meets(say)).code in {"not-peat", "timeout"}


async def test_silence_has_ten_seconds(autojump_clock: MockClock) -> None:
    async def nothing(_stream: trio.abc.Stream) -> None:
        return

    began = autojump_clock.current_time()
    assert (await met_by(nothing)).code == "timeout"
    assert autojump_clock.current_time() - began == pytest.approx(10)
    assert (await meets(nothing)).code == "timeout"


async def test_one_byte_a_second_has_ten_seconds_too(autojump_clock: MockClock) -> None:
    async def drip(stream: trio.abc.Stream) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            for byte in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500):
                await trio.sleep(1)
                await stream.send_all(bytes([byte]))

    began = autojump_clock.current_time()
    assert (await met_by(drip)).code == "timeout"
    assert autojump_clock.current_time() - began == pytest.approx(10)


async def test_a_close_in_the_handshake_is_named() -> None:
    async def close(stream: trio.abc.Stream) -> None:
        await stream.aclose()

    assert (await met_by(close)).code == "closed"
    assert (await meets(close)).code == "closed"


def member(node_id: str, say: Callable[[TlsStream], Awaitable[None]]) -> Script:
    """A member of the formation that passes TLS as an initiator and then says what it likes."""

    async def run(stream: trio.abc.Stream) -> None:
        tls = TlsStream(stream, credentials(node_id).initiating_contexts[0], server_side=False)
        await tls.handshake()
        await say(tls)

    return run


async def test_a_certificate_alone_is_no_proof() -> None:
    async def guess(tls: TlsStream) -> None:
        await tls.send_all(bytes(32))
        await tls.receive_some(64)
        await tls.send_all(bytes(32))

    assert (await met_by(member("mallory", guess))).code == "proof"
