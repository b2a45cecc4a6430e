"""A relay that is no node, from its port to what it tells of itself."""

from collections.abc import AsyncIterator
from pathlib import Path

import h11
import pytest
import trio
from fakes.relays import LOOPBACK, asker, relay_key
from structlog.testing import capture_logs

from peatd.config import load_relay
from peatd.relay.alone import run_relay
from peatd.relay_url import RelayUrl


class Alone:
    def __init__(self, relay: str, status: str) -> None:
        self.url = RelayUrl.parse(f"tcp://{relay}")
        self._status_port = int(status.rpartition(":")[2])

    async def ask(self, path: str, method: str = "GET") -> tuple[int, str]:
        http = h11.Connection(h11.CLIENT)
        async with await trio.open_tcp_stream("127.0.0.1", self._status_port) as stream:
            request = h11.Request(method=method, target=path, headers=[("Host", "relay")])
            await stream.send_all((http.send(request) or b"") + (http.send(h11.EndOfMessage()) or b""))
            status, body = 0, b""
            while not isinstance(event := http.next_event(), h11.EndOfMessage):
                if event is h11.NEED_DATA:
                    http.receive_data(bytes(await stream.receive_some()))
                elif isinstance(event, h11.Response):
                    status = event.status_code
                elif isinstance(event, h11.Data):
                    body += event.data
        return status, body.decode()


@pytest.fixture
async def alone(nursery: trio.Nursery) -> AsyncIterator[Alone]:
    arguments = ["--relay-listen", str(LOOPBACK), "--status", str(LOOPBACK)]
    program = load_relay([*arguments, "--relay-allow", relay_key().public_key.hex()], {})
    stopping, done = trio.Event(), trio.Event()

    async def run() -> None:
        await run_relay(program, stopping)
        done.set()

    with capture_logs() as logged:
        nursery.start_soon(run)
        with trio.fail_after(60):
            while not (up := [line for line in logged if line["event"] == "relay up"]):
                await trio.lowlevel.checkpoint()
        yield Alone(up[0]["relay"], up[0]["status"])
        stopping.set()
        with trio.fail_after(60):
            await done.wait()


async def test_it_serves_the_formation_whose_key_it_has_and_counts(alone: Alone) -> None:
    control = await asker("bob").register(alone.url)
    status, text = await alone.ask("/metrics")
    assert status == 200
    for line in ("peat_relay_registrations 1.0", 'peat_relay_requests_total{op="register"} 1.0', "peat_relay_info"):
        assert line in text
    assert "process_resident_memory_bytes" in text
    await trio.aclose_forcefully(control.stream)


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/livez", "GET", 200), ("/readyz", "HEAD", 200), ("/", "GET", 404), ("/metrics", "DELETE", 405)],
)
async def test_probes_are_answered(alone: Alone, path: str, method: str, status: int) -> None:
    assert (await alone.ask(path, method))[0] == status


def test_the_environment_sets_it_as_flags_do(tmp_path: Path) -> None:
    environ = {
        "PEAT_RELAY_LISTEN": "[::]:443",
        "PEAT_RELAY_ALLOW": f"{'ab' * 32}, {'cd' * 32}",
        "PEAT_RELAY_NAMES": "a.example.org,b.example.org",
        "PEAT_RELAY_RATE": "10Mi",
        "PEAT_LOG_FORMAT": "json",
        "PEAT_RELAY_URLS": "tcp://not-for-it:1",
    }
    program = load_relay([], environ)
    assert program.relay.relay_allow == ("ab" * 32, "cd" * 32)
    assert program.relay.relay_name == ("a.example.org", "b.example.org")
    assert (program.relay.relay_rate, program.log_format, program.status) == (10 * 2**20, "json", None)
    assert program.relay.relay == ()
