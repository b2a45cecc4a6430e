"""Every setting of peatd can be reached from the chart, and what the chart sets peatd takes."""

import json
from pathlib import Path

import pytest
from deploy.chart import Json, render
from deploy.objects import Objects
from deploy.permutations import VALUES

from peatd.config import load
from peatd.settings.table import SETTINGS

NOT_IN_THE_CHART = {
    "node_id": "a node is called like its pod, and tells its own pod's slice by that",
    "service_account_dir": "where the kubelet mounts it",
    "memory": "it is what resources.limits.memory leaves to the container",
    "tombstone_ttl": "a week suits whoever has not measured it; extraEnv on all nodes alike for whoever has",
    "relay_ca_file": "relays have ordinary certificates; extraEnv and extraVolumes for an authority of one's own",
    "relay_listen": "pods can reach each other: a relay stands outside of the cluster; so with all that follows",
    "relay_name": "see relay_listen",
    "relay_tls_cert": "see relay_listen",
    "relay_tls_key": "see relay_listen",
    "relay_allow": "see relay_listen",
    "relay_registrations": "see relay_listen",
    "relay_circuits": "see relay_listen",
    "relay_rate": "see relay_listen",
    "relay_total_rate": "see relay_listen",
    "max_links": "sixteen suit whoever has not measured it; extraEnv for whoever has",
    "kubeconfig": "a pod has its service account; extraEnv and extraVolumes for whoever watches another cluster",
}


def variables_of_all_values() -> set[str]:
    return {name for values in VALUES.values() for name in Objects(render(values)).environment}


def test_every_setting_can_be_reached() -> None:
    found = variables_of_all_values()
    missing = {setting.name for setting in SETTINGS if setting.variables[0] not in found}
    # KUBECONFIG is an operator's own variable in one of the permutations.
    assert missing | {"kubeconfig"} == NOT_IN_THE_CHART.keys()


def test_what_the_chart_sets_are_settings() -> None:
    known = {variable for setting in SETTINGS for variable in setting.variables[:1]}
    assert {name for name in variables_of_all_values() if name.startswith("PEAT_")} <= known


@pytest.mark.parametrize("name", [name for name in VALUES if name != "extras"])
def test_peatd_takes_what_the_chart_sets(name: str, tmp_path: Path) -> None:
    objects = Objects(render(VALUES[name]))
    file = tmp_path / "config.toml"
    for map_ in objects.of("ConfigMap"):
        file.write_text(map_["data"]["config.toml"])
    pod: Json = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "peat-mesh-0"}
    config = load([], {**pod, **objects.environment}, default_file=file)
    assert config.node_id == "peat-mesh-0"
    assert {"bind": config.bind.port, "api": config.api.port} == {
        "bind": objects.ports["peat"],
        "api": objects.ports["http"],
    }
    assert ("kubernetes" in config.discovery) == objects.asks_kubernetes
    values = json.loads(json.dumps(VALUES[name]))
    assert len(config.peers) == len(values.get("peers", [])) + values.get("config", "").count("[[peers]]")
