"""What clients do to hypercorn, and that it harms only themselves. The numbers are those of the guard's faults."""

import resource
from pathlib import Path

import h11
import pytest
import trio
import trio.testing
from fakes.hostile import (
    BOUNDED,
    GET,
    GET_LARGE,
    LIVE,
    UPGRADE,
    held_when_settled,
    last_status,
    quick,
    say_until_cut,
    unharmed,
    until_no_more_is_held_than,
)
from fakes.http_client import parse_reply

from peatd.api.guard import GuardedProtocol


def _resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def _fail(*_):
    raise h11.LocalProtocolError("a fault that nobody knows yet")


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
    async with serve_with(quick(send=0.05)) as node:
        await _put_large_document(node)
        before = await held_when_settled()
        client = await node.connect_privately()
        async with client.stream:
            await client.say(GET_LARGE * requests)
            await until_no_more_is_held_than((before[0] + 1, before[1]))


async def test_fault_2_a_client_that_stops_reading_does_not_hold_up_the_end(serve_with):
    async with serve_with(quick(send=600)) as node:
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
        await say_until_cut(client, b"\x82\xff" + b"\x00" * 65536)


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
        assert await last_status(client) == 200


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
        assert await last_status(client) == 200


async def test_fault_5_a_connection_is_kept_for_the_next_request(node):
    async with unharmed(node) as client:
        for _ in range(5):
            assert (await client.ask("GET", "/api/v1/node")).status == 200


async def test_an_answer_that_does_not_wait_for_the_body_says_that_the_connection_closes(node):
    async with unharmed(node) as client:
        await client.say(b"PUT /api/v1/no/such/route HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
        (reply,) = await client.hear_replies(1)
        assert (reply.status, reply.headers["connection"]) == (404, "close")


async def test_fault_5_a_connection_that_is_kept_for_nothing_closes(serve_with):
    async with serve_with(quick(idle=0.5)) as node, unharmed(node) as client:
        assert (await client.ask("GET", "/api/v1/node")).status == 200
        assert await client.hear_all() == b""


async def test_fault_5_kept_connections_do_not_hold_up_the_end(serve_with):
    async with serve_with(quick(grace=60)) as node:
        clients = [await node.connect() for _ in range(10)]
        for client in clients:
            await client.ask("GET", "/livez")
        with trio.fail_after(BOUNDED):
            node.serving.cancel()
            await node.stopped.wait()
            for client in clients:
                assert await client.hear_all() == b""
                await client.stream.aclose()


async def _put_large_document(node):
    body = b'{"a": "' + b"x" * 1_000_000 + b'"}'
    assert (await node.ask("PUT", "/documents/a/large", body=body)).status == 201


@pytest.mark.parametrize("host", [b"a..b", b".", b"a" * 64, b"\xff", b"localhost..:80"])
async def test_a_host_that_is_no_name_is_answered(node, host):
    async with unharmed(node) as client:
        await client.say(b"GET /livez HTTP/1.1\r\nConnection: close\r\nHost: " + host + b"\r\n\r\n")
        assert await last_status(client) in (200, 400)
