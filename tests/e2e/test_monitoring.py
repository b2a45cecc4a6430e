"""deploy/monitoring: every metric and label in the alert rules and the dashboard is one that nodes really have."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from e2e.nodes import Node, until, wait_equal
from prometheus_client.parser import text_string_to_metric_families as parse

MONITORING = Path(__file__).parents[2] / "deploy/monitoring"
PROMETHEUS_OWN = {"instance", "job", "le"}
"""Labels that stand beside ours: of the scrape, and of a histogram's buckets."""

Samples = dict[str, list[dict[str, str]]]

_METRIC = re.compile(r"\b(?:peat|process|python)_[a-z_]+\b")
_SELECTOR = re.compile(r"\b((?:peat|process|python)_[a-z_]+)\{([^}]*)\}")
_MATCHER = re.compile(r'([a-z_]+)(=~|=|!=|!~)"([^"]*)"')
_GROUPING = re.compile(r"\b(?:by|on|without|ignoring) ?\(([^)]*)\)")
_LEGEND = re.compile(r"\{\{ ?(?:\$labels\.)?([a-z_]+) ?\}\}")


def rules() -> Iterator[tuple[str, str, str]]:
    """Name, expression and text of each alert."""
    for group in yaml.safe_load((MONITORING / "alerts.yml").read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"], " ".join(rule["annotations"].values())


def panels() -> Iterator[tuple[str, str, str]]:
    """Title, expression and legend of each line in the dashboard."""
    for panel in json.loads((MONITORING / "grafana-dashboard.json").read_text(encoding="utf-8"))["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"], target["legendFormat"]


WANTED = [*rules(), *panels()]


@pytest.fixture(scope="module")
def samples(three: list[Node]) -> Samples:
    """All that a node exposes once it has done a little of everything, by name."""
    alice, bob, _ = three
    alice.write("PUT", "monitored/a", {"n": 1}, "?ack=replicated:2")
    bob.write("PUT", "monitored/b", {"n": 1}, "?ack=replicated:2")
    wait_equal(three, "monitored/a", "monitored/b")
    found: Samples = {}

    def is_measured() -> bool:
        for family in parse(alice.ask("GET", "/metrics").body.decode()):
            found.setdefault(family.name, [])  # alice has no relays
            for sample in family.samples:
                found.setdefault(sample.name, []).append(sample.labels)
        return "peat_peer_rtt_seconds" in found and "peat_http_requests_total" in found

    until(is_measured, "a ping has come back")
    return found


@pytest.mark.parametrize(("name", "expression", "text"), WANTED, ids=[name for name, _, _ in WANTED])
def test_metrics_and_labels_exist(samples: Samples, name: str, expression: str, text: str) -> None:
    metrics = set(_METRIC.findall(expression))
    assert metrics
    assert metrics <= samples.keys()
    known = PROMETHEUS_OWN.union(*(labels for metric in metrics for labels in samples[metric]))
    grouped = {label.strip() for labels in _GROUPING.findall(expression) for label in labels.split(",")}
    shown = set(_LEGEND.findall(text))
    assert grouped <= known
    assert shown <= known
    for metric, matchers in _SELECTOR.findall(expression):
        own = PROMETHEUS_OWN.union(*samples[metric])
        assert {label for label, _, _ in _MATCHER.findall(matchers)} <= own


def test_there_is_something_to_look_at() -> None:
    alerts = [name for name, _, _ in rules()]
    assert len(alerts) == len(set(alerts)) >= 10
    assert len(list(panels())) >= 20


def test_panels_do_not_cover_each_other() -> None:
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text(encoding="utf-8"))
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in dashboard["panels"]
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_no_alert_fires_on_a_mesh_that_is_well(samples: Samples, three: list[Node]) -> None:
    """Of those that compare one metric with a number: the rest needs a Prometheus."""
    text = three[0].ask("GET", "/metrics").body.decode()
    values: dict[str, list[float]] = {}
    for family in parse(text):
        for sample in family.samples:
            values.setdefault(sample.name, []).append(sample.value)
    simple = re.compile(r"(peat_[a-z_]+) (==|>) ([0-9.]+)")
    judged = [(name, match) for name, expression, _ in rules() if (match := simple.fullmatch(expression))]
    assert len(judged) >= 4
    for name, match in judged:
        metric, sign, bound = match.groups()
        for value in values[metric]:
            assert value != float(bound) if sign == "==" else value <= float(bound), name
