"""`/metrics`: readable by Prometheus' own parser, open like a probe, and true."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text


def values(body: bytes) -> dict[tuple[str, ...], float]:
    """By name and the values of the labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in parse_text(body.decode())
        for sample in family.samples
    }


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/metrics"])
async def test_is_prometheus_text_and_needs_no_credentials(node, path):
    client = await node.connect()
    async with client.stream:
        reply = await client.ask("GET", path)
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/plain; version=")
    assert values(reply.body)["peat_uptime_seconds",] >= 0


async def test_speaks_openmetrics_to_whoever_asks_for_it(node):
    client = await node.connect()
    async with client.stream:
        reply = await client.ask("GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert reply.headers["content-type"].startswith("application/openmetrics-text")
    assert {family.name for family in parse_openmetrics(reply.body.decode())} >= {"peat_uptime_seconds"}


async def test_counts_requests_by_method_and_status(node):
    await node.ask("GET", "/ready")
    await node.ask("GET", "/documents/notes/none")
    await node.ask("BREW", "/ready")
    found = values((await node.ask("GET", "/metrics")).body)
    assert found["peat_http_requests_total", "GET", "200"] == 1
    assert found["peat_http_requests_total", "GET", "404"] == 1
    assert found["peat_http_requests_total", "other", "405"] == 1
    assert found["peat_http_request_duration_seconds_count",] == 3
    assert found["peat_http_request_duration_seconds_bucket", "+Inf"] == 3


async def test_counts_what_is_refused_before_a_route_is_found(node):
    client = await node.connect()
    async with client.stream:
        await client.ask("GET", "/api/v1/peers")
        reply = await client.ask("GET", "/metrics")
    assert values(reply.body)["peat_http_requests_total", "GET", "401"] == 1


async def test_the_process_is_measured_too(node):
    found = values((await node.ask("GET", "/metrics")).body)
    assert found["process_resident_memory_bytes",] > 1024 * 1024
    assert found["process_open_fds",] > 3
