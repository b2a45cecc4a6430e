"""Whatever operators choose, what is rendered is right, and two releases in one namespace are strangers."""

import itertools
import json
import re
from pathlib import Path

import pytest
from deploy.chart import CHART, SECRET, Json, helm, merged, render, with_secret
from deploy.faults import faults
from deploy.faults_services import is_discovered
from deploy.faults_shape import schema_faults
from deploy.objects import Objects, matches
from deploy.permutations import TWO_SECRETS, VALUES

VERSIONS = re.findall(r'^KUBERNETES_VERSIONS = \("(.+)", "(.+)"\)', Path("noxfile.py").read_text("utf-8"), re.M)[0]

LEFT_OUT = {
    "what YAML takes for something else",
    "no storage class",
    "an odd tag",
    "existing secret",
    "no clients",
    "config",
    "no config",
    "static",
    "no discovery",
    "kubernetes alone",
    "node port",
}
"""What contradicts another choice."""


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_what_is_rendered_is_right(values: Json) -> None:
    documents = render(values)
    assert faults(documents) == []
    for version in VERSIONS:
        assert list(schema_faults(documents, version)) == []


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_helm_finds_nothing_to_complain_of(values: Json, tmp_path: Path) -> None:
    file = tmp_path / "values.json"
    file.write_text(json.dumps(with_secret(values)))
    helm("lint", "--strict", "--quiet", str(CHART), "--values", str(file))


def test_a_release_and_a_namespace_may_be_numbers() -> None:
    documents = render({"fullnameOverride": "documents"}, release="1e3", namespace="007")
    assert faults(documents) == []
    for version in VERSIONS:
        assert list(schema_faults(documents, version)) == []


@pytest.mark.parametrize("order", [1, -1], ids=["the last counts", "the first counts"])
def test_all_choices_at_once_do_not_disturb_each_other(order: int) -> None:
    together: Json = {}
    for name, values in list(VALUES.items())[::order]:
        if name not in LEFT_OUT:
            together = merged(together, values)
    documents = render(together)
    assert faults(documents) == []
    for version in VERSIONS:
        assert list(schema_faults(documents, version)) == []


@pytest.mark.parametrize("other", ["peat-mesh-2", "peat", "a" * 53, "2.edge"])
def test_a_second_release_beside_it_is_a_stranger(other: str) -> None:
    values: Json = {"serviceMonitor": {"enabled": True}, "mesh": {"external": {"enabled": True}}}
    second = {**values, "fullnameOverride": "second"} if other.startswith("2") else values
    documents = [render(values), render(second, release=other)]
    for objects in map(Objects, documents):
        assert faults(objects.documents) == []
    names = [{(one["kind"], one["metadata"]["name"]) for one in some} for some in documents]
    assert names[0] & names[1] == set()
    for ours, theirs in itertools.permutations(map(Objects, documents)):
        assert not matches(ours.nodes, theirs.template["metadata"]["labels"])
        assert not any(is_discovered(ours, service) for service in theirs.of("Service"))
        monitored = ours.one("ServiceMonitor")["spec"]["selector"]["matchLabels"]
        assert not any(matches(monitored, service["metadata"]["labels"]) for service in theirs.of("Service"))


def test_long_names_that_begin_alike_stay_apart() -> None:
    names = {Objects(render(release="a" * 52 + last)).workload["metadata"]["name"] for last in "xy"}
    assert len(names) == 2
    assert {len(name) for name in names} == {52}


def test_an_upgrade_changes_nothing_that_cannot_be_changed(tmp_path: Path) -> None:
    """Of a StatefulSet that is its identity and its claims: with a newer chart and a newer image they are the same."""
    later = tmp_path / "peat-mesh"
    later.mkdir()
    for path in CHART.rglob("*"):
        target = later / path.relative_to(CHART)
        if path.is_dir():
            target.mkdir(exist_ok=True)
        else:
            target.write_bytes(path.read_bytes())
    chart = (later / "Chart.yaml").read_text()
    (later / "Chart.yaml").write_text(chart.replace("ersion: 0.1.0", "ersion: 9.8.7"))
    before, after = (Objects(render(chart=path)).workload for path in (CHART, later))
    assert after["metadata"]["labels"]["app.kubernetes.io/version"] == "9.8.7"
    fixed = ("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates")
    assert {key: before["spec"][key] for key in fixed} == {key: after["spec"][key] for key in fixed}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"config": "poll_interval = 5"}),
        ({"config": "poll_interval = 5"}, {}),
    ],
    ids=["config", "no config"],
)
def test_a_change_that_a_node_reads_at_its_start_restarts_it(before: Json, after: Json) -> None:
    first, second = (Objects(render(values)).template for values in (before, after))
    assert first["metadata"]["annotations"] != second["metadata"]["annotations"]
    assert Objects(render(before)).template == first, "and nothing else does"


def test_a_change_of_the_secret_restarts_nothing_for_it_is_read_again() -> None:
    rotated = {"formation": {"secret": f"{SECRET}\n{TWO_SECRETS}"}}
    first, second = Objects(render({})), Objects(render(rotated))
    assert first.template == second.template
    assert first.one("Secret")["data"] != second.one("Secret")["data"]
