"""Rendered objects, and how they refer to one another."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy.chart import Json

from peatd.settings.values import AUTO, KUBERNETES


class Broken(Exception):
    """The documents are so wrong that there is nothing to look at: itself a fault."""


@dataclass(frozen=True)
class Objects:
    """The documents of one release."""

    documents: list[Json]

    def of(self, kind: str) -> list[Json]:
        return [one for one in self.documents if one.get("kind") == kind]

    def one(self, kind: str) -> Json:
        found = self.of(kind)
        if len(found) != 1:
            raise Broken(f"{len(found)} objects of kind {kind}, not one")
        return found[0]

    @property
    def workload(self) -> Json:
        return self.one("StatefulSet")

    @property
    def namespace(self) -> str:
        return str(self.workload["metadata"]["namespace"])

    @property
    def template(self) -> Json:
        return dict(self.workload["spec"]["template"])

    @property
    def pod(self) -> Json:
        return dict(self.template["spec"])

    @property
    def container(self) -> Json:
        containers = self.pod["containers"]
        if len(containers) != 1:
            raise Broken(f"{len(containers)} containers, not one")
        return dict(containers[0])

    @property
    def environment(self) -> dict[str, str]:
        """The container's variables; an empty one is as good as none."""
        return {one["name"]: one["value"] for one in self.container["env"] if one.get("value")}

    @property
    def ports(self) -> dict[str, int]:
        """The container's, by name."""
        return {port["name"]: port["containerPort"] for port in self.container["ports"]}

    @property
    def asks_kubernetes(self) -> bool:
        modes = {mode.strip() for mode in self.environment["PEAT_DISCOVERY"].split(",")}
        return bool(modes & {AUTO, KUBERNETES})

    @property
    def nodes(self) -> dict[str, str]:
        """The labels that select the nodes of this release, and nothing else."""
        return dict(self.workload["spec"]["selector"]["matchLabels"])

    def labels_of(self, component: str) -> dict[str, str]:
        """The labels that select this component of the release, and nothing else."""
        return {**self.nodes, "app.kubernetes.io/component": component}

    def services(self, component: str) -> list[Json]:
        name = "app.kubernetes.io/component"
        return [one for one in self.of("Service") if one["metadata"]["labels"].get(name) == component]

    @property
    def headless(self) -> Json:
        found = self.services("mesh")
        if len(found) != 1:
            raise Broken(f"{len(found)} Services for the mesh, not one")
        return found[0]

    @property
    def api(self) -> Json:
        found = self.services("api")
        if len(found) != 1:
            raise Broken(f"{len(found)} Services for the API, not one")
        return found[0]


def matches(selector: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    """Whether labels are selected; an empty selector selects everything, as in Kubernetes."""
    return all(labels.get(key) == value for key, value in selector.items())


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])
