"""What clients do to hypercorn, and that it harms only themselves. The numbers are those of the guard's faults."""

import random
import resource
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import h11
import pytest
import trio
import trio.testing
from fakes.http_client import parse_reply

from peatd.api.connection import Limits
from peatd.api.guard import GuardedProtocol

GET = b"GET /api/v1/node HTTP/1.1\r\nHost: x\r\n"
GET_LARGE = b"GET /api/v1/documents/a/large HTTP/1.1\r\nHost: x\r\n\r\n"
LIVE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
UPGRADE = (
    b"GET /api/v1/sync/a/b HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
BOUNDED = 5.0
"""Seconds in which what has a deadline of far less must be over."""


@asynccontextmanager
async def unharmed(node):
    """Yields a connection for a client's worst; afterwards the node answers others and holds nothing of it."""
    before = await _held_when_settled()
    client = await node.connect_privately()
    async with client.stream:
        yield client
    assert (await node.ask("GET", "/livez")).status == 200
    await _until_no_more_is_held_than(before)


def _held():
    """File descriptors and tasks."""
    return len(list(Path("/proc/self/fd").iterdir())), trio.lowlevel.current_statistics().tasks_living


async def _held_when_settled():
    await trio.testing.wait_all_tasks_blocked(0.01)
    return _held()


async def _until_no_more_is_held_than(limits):
    with trio.fail_after(BOUNDED):
        while any(held > limit for held, limit in zip(_held(), limits, strict=True)):
            await trio.testing.wait_all_tasks_blocked(0.001)


def _resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def _fail(*_):
    raise h11.LocalProtocolError("a fault that nobody knows yet")


def _quick(**changes):
    return replace(Limits(), **{"grace": 0.05} | changes)


async def _last_status(client):
    reply, _ = parse_reply(await client.hear_all())
    return reply.status


@pytest.mark.parametrize(
    "rest",
    [
        b"\r\n",
        b"\r\nx",
        b"\r\n\x81\x85\x00\x00\x00\x00hello",
        b"Content-Length: 5\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        b"Sec-WebSocket-Protocol: a, b\r\n\r\n",
    ],
    ids=["bare", "byte behind", "frame behind", "body", "chunked body", "deflate", "subprotocols"],
)
async def test_fault_1_6_7_8_an_upgrade_is_answered_as_if_it_were_none(node, rest):
    async with unharmed(node) as client:
        await client.say(UPGRADE + rest)
        (reply,) = await client.hear_replies(1)
        assert (reply.status, reply.error["code"]) == (404, "not_found")
        assert "--clients" in reply.error["hint"]


@pytest.mark.parametrize("requests", [1, 10])
async def test_fault_2_a_client_that_stops_reading_is_cut(serve_with, requests):
    async with serve_with(_quick(send=0.05)) as node:
        await _put_large_document(node)
        before = await _held_when_settled()
        client = await node.connect_privately()
        async with client.stream:
            await client.say(GET_LARGE * requests)
            await _until_no_more_is_held_than((before[0] + 1, before[1]))


async def test_fault_2_a_client_that_stops_reading_does_not_hold_up_the_end(serve_with):
    async with serve_with(_quick(send=600)) as node:
        await _put_large_document(node)
        client = await node.connect_privately()
        await client.say(GET_LARGE * 10)
        await trio.testing.wait_all_tasks_blocked(0.01)
        with trio.fail_after(BOUNDED):
            node.serving.cancel()
            await node.stopped.wait()
        await client.stream.aclose()


async def test_fault_3_what_comes_behind_an_upgrade_is_not_kept(node):
    async with unharmed(node) as client:
        await client.say(UPGRADE + b"\r\n")
        await _say_until_cut(client, b"\x82\xff" + b"\x00" * 65536)


@pytest.mark.parametrize("ending", ["gone", "broken"])
async def test_fault_4_a_stream_that_nobody_hears_ends(node, ending):
    has_ended = trio.Event()

    async def endless():
        async def chunks():
            try:
                while True:
                    yield b"x"  # without a checkpoint of its own
            finally:
                has_ended.set()

        return chunks()

    node.app.add_url_rule("/api/v1/endless", view_func=endless)
    async with unharmed(node) as client:
        await client.say(b"GET /api/v1/endless HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert await client.stream.receive_some(100)
        if ending == "gone":
            await client.stream.aclose()
        else:
            await client.say(b"zz\r\n")
        with trio.fail_after(BOUNDED):
            await has_ended.wait()


async def test_fault_4_an_answer_that_comes_after_the_refusal_goes_nowhere(node):
    is_refused, sent = trio.Event(), 0

    async def stubborn():
        with trio.CancelScope(shield=True):
            await is_refused.wait()

        async def chunks():
            nonlocal sent
            while sent < 1000:
                sent += 1
                yield b"x"

        return chunks()

    node.app.add_url_rule("/api/v1/stubborn", view_func=stubborn)
    async with unharmed(node) as client:
        await client.say(b"GET /api/v1/stubborn HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        (reply,) = await client.hear_replies(1)
        assert reply.status == 400
        is_refused.set()
        assert await client.hear_all() == b""
    assert sent < 1000


async def test_fault_1_whatever_a_client_makes_it_raise_ends_its_own_connection(node, monkeypatch, capsys):
    neighbour = await node.connect_privately()
    assert (await neighbour.ask("GET", "/livez")).status == 200
    with monkeypatch.context() as patched:
        patched.setattr(GuardedProtocol, "_handle_event", _fail)
        client = await node.connect_privately()
        await client.say(LIVE)
        assert await client.hear_all() == b""
        await client.stream.aclose()
    assert "api.connection_failed" in capsys.readouterr().out
    async with neighbour.stream:
        assert (await neighbour.ask("GET", "/livez")).status == 200


async def test_fault_5_connection_close_closes(node):
    async with unharmed(node) as client:
        await client.say(GET + b"Connection: close\r\n\r\n")
        assert await _last_status(client) == 200


async def test_fault_5_what_is_pipelined_behind_connection_close_is_not_answered(node):
    async with unharmed(node) as client:
        await client.say(GET + b"Connection: close\r\n\r\n" + LIVE * 3)
        heard = await client.hear_all()
        reply, size = parse_reply(heard)
        assert (reply.status, size) == (200, len(heard))


async def test_fault_3_what_comes_behind_the_last_request_is_not_kept(node):
    async def never():
        await trio.sleep_forever()

    node.app.add_url_rule("/api/v1/never", view_func=never)
    before = _resident_bytes()
    client = await node.connect_privately()
    async with client.stream:
        await client.say(b"GET /api/v1/never HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        for _ in range(500):
            await client.say(b"\x82" * 65536)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert _resident_bytes() < before + 10_000_000


async def test_fault_5_http_1_0_closes(node):
    async with unharmed(node) as client:
        await client.say(b"GET /livez HTTP/1.0\r\n\r\n")
        assert await _last_status(client) == 200


async def test_fault_5_a_connection_is_kept_for_the_next_request(node):
    async with unharmed(node) as client:
        for _ in range(5):
            assert (await client.ask("GET", "/api/v1/node")).status == 200


async def test_fault_5_a_connection_that_is_kept_for_nothing_closes(serve_with):
    async with serve_with(_quick(idle=0.05)) as node, unharmed(node) as client:
        assert (await client.ask("GET", "/api/v1/node")).status == 200
        assert await client.hear_all() == b""


async def test_fault_5_kept_connections_do_not_hold_up_the_end(serve_with):
    async with serve_with(_quick(grace=60)) as node:
        clients = [await node.connect() for _ in range(10)]
        for client in clients:
            await client.ask("GET", "/livez")
        with trio.fail_after(BOUNDED):
            node.serving.cancel()
            await node.stopped.wait()
            for client in clients:
                assert await client.hear_all() == b""
                await client.stream.aclose()


async def test_requests_in_a_row_are_answered_in_order(node):
    async with unharmed(node) as client:
        paths = [b"/livez", b"/api/v1/nothing", b"/api/v1/node", b"/api/v1/peers"] * 5
        await client.say(b"".join(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n" for path in paths))
        replies = await client.hear_replies(len(paths))
        assert [reply.status for reply in replies] == [200, 404, 200, 200] * 5


async def test_a_client_that_has_said_all_is_answered(node):
    async with unharmed(node) as client:
        await client.say(LIVE * 3)
        await client.stream.send_eof()
        assert (await client.hear_all()).count(b"HTTP/1.1 200") == 3


@pytest.mark.parametrize("is_gone", [True, False])
async def test_a_client_that_has_said_all_is_not_waited_for_for_ever(serve_with, is_gone):
    was_cancelled = trio.Event()

    async def never():
        try:
            await trio.sleep_forever()
        finally:
            was_cancelled.set()

    async with serve_with(_quick(half_closed=0.05)) as node:
        node.app.add_url_rule("/api/v1/never", view_func=never)
        async with unharmed(node) as client:
            await client.say(b"GET /api/v1/never HTTP/1.1\r\nHost: x\r\n\r\n")
            if is_gone:
                await client.stream.aclose()
            else:
                await client.stream.send_eof()
                assert await client.hear_all() == b""
            with trio.fail_after(BOUNDED):
                await was_cancelled.wait()


async def test_a_body_that_breaks_off_is_refused(node):
    async with unharmed(node) as client:
        await client.say(b"PUT /api/v1/documents/a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{}")
        await client.stream.send_eof()
        assert await _last_status(client) == 400
    assert node.mesh.documents.count() == 0


async def test_slow_headers_end_with_the_idle_time(serve_with):
    async with serve_with(_quick(idle=0.05)) as node, unharmed(node) as client:
        await client.say(b"GET /livez HTTP/1.1\r\n")
        await _say_until_cut(client, b"x: y\r\n")


async def test_a_slow_body_is_408(node):
    node.app.config["BODY_TIMEOUT"] = 0.05
    async with unharmed(node) as client:
        await client.say(b"PUT /api/v1/documents/a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{")
        (reply,) = await client.hear_replies(1)
        assert (reply.status, reply.error["code"]) == (408, "request_timeout")
        assert await client.hear_all() == b""


async def test_who_waits_to_be_told_is_told_to_go_on(node):
    async with unharmed(node) as client:
        await client.say(
            b"PUT /api/v1/documents/a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        with trio.fail_after(BOUNDED):
            assert (await client.stream.receive_some(1000)).startswith(b"HTTP/1.1 100 ")
        await client.say(b"{}")
        (reply,) = await client.hear_replies(1)
        assert reply.status == 201


async def test_a_body_in_chunks_is_read(node):
    async with unharmed(node) as client:
        await client.say(
            b"PUT /api/v1/documents/a/b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b'3\r\n{"a\r\n4;x=y\r\n":1}\r\n0\r\nTrailer: x\r\n\r\n'
        )
        (reply,) = await client.hear_replies(1)
        assert reply.status == 201


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (GET + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (GET + b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n" + LIVE, 400),
        (GET + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400),
        (GET + b"Content-Length: -1\r\n\r\n", 400),
        (GET + b"Content-Length: 0x5\r\n\r\nhello", 400),
        (GET + b"Transfer-Encoding: chunked, chunked\r\n\r\n", 501),
        (GET + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (GET + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (GET + b"Content-Length : 5\r\n\r\nhello", 400),
        (GET + b"Host: y\r\n\r\n", 400),
        (GET + b"x\x00y: z\r\n\r\n", 400),
        (GET + b"x: a\x00b\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\n\r\n", 400),
        (b"GET http://127.0.0.1/livez HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /livez HTTP/2.0\r\nHost: x\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET /livez\r\n\r\n", 400),
        (b"G\xc3\x89T /livez HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nx: " + b"y" * 140_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"y" * 140_000, 431),
        (b"\r\n" * 4, 400),
    ],
)
async def test_what_http_does_not_allow_is_refused_and_the_connection_closed(node, octets, status):
    async with unharmed(node) as client:
        await client.say(octets)
        heard = await client.hear_all()
        reply, size = parse_reply(heard)
        assert reply.status == status
        assert reply.error["hint"]
        assert reply.headers["connection"] == "close"
        assert size == len(heard)


async def test_an_invitation_to_http_2_is_declined(node):
    async with unharmed(node) as client:
        await client.say(
            GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
        )
        (reply,) = await client.hear_replies(1)
        assert reply.status == 200


async def test_a_long_state_vector_fits_into_the_request_line(node):
    async with unharmed(node) as client:
        assert (await client.ask("GET", f"/api/v1/documents/a/b/updates?sv={'A' * 60_000}")).status == 404


async def test_an_answer_that_breaks_off_closes_the_connection(node):
    async def broken():
        async def chunks():
            yield b"first"
            raise OSError("the disk is gone")

        return chunks()

    node.app.add_url_rule("/api/v1/broken", view_func=broken)
    async with unharmed(node) as client:
        await client.say(b"GET /api/v1/broken HTTP/1.1\r\nHost: x\r\n\r\n")
        heard = await client.hear_all()
        assert b"first" in heard
        assert not heard.endswith(b"0\r\n\r\n")


async def test_what_fails_beneath_the_app_is_500_in_the_one_shape(node, capsys):
    async def unspeakable():
        return b"", 200, [("a:b\r\n", "c")]

    async def finish_badly(response):
        response.headers["x"] = object()
        return response

    node.app.add_url_rule("/api/v1/unspeakable", view_func=unspeakable)
    async with unharmed(node) as client:
        await client.say(b"GET /api/v1/unspeakable HTTP/1.1\r\nHost: x\r\n\r\n")
        reply, _ = parse_reply(await client.hear_all())
        assert (reply.status, reply.error["code"]) == (500, "internal")
    assert "Traceback" in capsys.readouterr().out


async def test_no_answer_is_cut_short_by_a_deadline_for_the_whole(node):
    assert node.app.config["RESPONSE_TIMEOUT"] is None


async def test_mangled_requests_harm_nobody(node):
    dice = random.Random(11204)
    whole = [LIVE, GET + b"\r\n", UPGRADE + b"\r\nx", LIVE * 3]
    whole.append(b'PUT /api/v1/documents/a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n{"a":1}')
    whole.append(GET + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    for _ in range(300):
        octets = bytearray(dice.choice(whole))
        for _ in range(dice.randrange(1, 6)):
            position = dice.randrange(len(octets))
            match dice.randrange(3):
                case 0:
                    octets[position] = dice.randrange(256)
                case 1:
                    del octets[position : position + dice.randrange(1, 9)]
                    octets += b" "
                case 2:
                    octets[position:position] = dice.choice([b"\r\n", b"\x00", b":", b"Upgrade: websocket\r\n", b"0"])
        async with unharmed(node) as client:
            try:
                await client.say(octets)
                await client.stream.send_eof()
            except trio.BrokenResourceError:
                continue
            await client.hear_all()


async def _say_until_cut(client, octets):
    with trio.fail_after(BOUNDED):
        try:
            while True:
                await client.say(octets)
        except trio.BrokenResourceError:
            pass


async def _put_large_document(node):
    body = b'{"a": "' + b"x" * 1_000_000 + b'"}'
    assert (await node.ask("PUT", "/documents/a/large", body=body)).status == 201
