"""HTTP/1.1 as it is spoken on real sockets: in a row, in pieces, half-closed, slow, and wrong."""

import random

import pytest
import trio
from fakes.hostile import BOUNDED, GET, LIVE, UPGRADE, last_status, quick, say_until_cut, unharmed
from fakes.http_client import parse_reply


async def test_requests_in_a_row_are_answered_in_order(node):
    async with unharmed(node) as client:
        paths = [b"/livez", b"/api/v1/nothing", b"/api/v1/node", b"/api/v1/peers"] * 5
        await client.say(b"".join(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n" for path in paths))
        replies = await client.hear_replies(len(paths))
        assert [reply.status for reply in replies] == [200, 404, 200, 200] * 5


async def test_an_answer_arrives_in_one_piece(node):
    async with unharmed(node) as client:
        for path in (b"/livez", b"/api/v1/nothing", b"/api/v1/node"):
            await client.say(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            with trio.fail_after(BOUNDED):
                piece = await client.stream.receive_some(65536)
            assert piece.startswith(b"HTTP/1.1 ")
            assert piece.endswith(b"}")


async def test_the_head_of_a_stream_does_not_wait_for_its_body(serve_with):
    async def silent():
        async def nothing():
            await trio.sleep_forever()
            yield b""

        return nothing()

    async with serve_with(quick(half_closed=0.05)) as node, unharmed(node) as client:
        node.app.add_url_rule("/api/v1/silent", view_func=silent)
        await client.say(b"GET /api/v1/silent HTTP/1.1\r\nHost: x\r\n\r\n")
        with trio.fail_after(BOUNDED):
            assert (await client.stream.receive_some(65536)).startswith(b"HTTP/1.1 200 ")
        await client.stream.aclose()


async def test_a_head_without_its_body_is_an_answer(node):
    async with unharmed(node) as client:
        await client.say(b"HEAD /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        with trio.fail_after(BOUNDED):
            assert (await client.stream.receive_some(65536)).endswith(b"\r\n\r\n")


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

    async with serve_with(quick(half_closed=0.05)) as node:
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
        assert await last_status(client) == 400
    assert node.mesh.documents.count() == 0


async def test_slow_headers_end_with_the_idle_time(serve_with):
    async with serve_with(quick(idle=0.5)) as node, unharmed(node) as client:
        await client.say(b"GET /livez HTTP/1.1\r\n")
        await say_until_cut(client, b"x: y\r\n")


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
