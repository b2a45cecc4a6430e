"""What a cluster does with a rendered release, as far as a node can tell: pods with volumes, a service account, slices.

A pod is a real `peatd` with exactly the variables that were rendered. Only what one machine cannot give it is replaced:
mounted paths lie below the pod's own directory, and it listens at an address of its own where it would at any.
"""

import base64
import http.client
import os
from dataclasses import dataclass, field
from pathlib import Path

from deploy.chart import Json
from deploy.objects import Objects
from e2e.nodes import Node, bare_environ
from fakes.apiserver import FakeApiServer
from fakes.certificates import Authority
from fakes.endpointslices import endpoint_slice, pod

TOKEN = "the-token"
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclass(eq=False)
class Cluster:
    """An API server, and how its pods get to it."""

    server: FakeApiServer
    authority: Authority
    directory: Path
    started: list["Pod"] = field(default_factory=list)

    def allow(self, objects: Objects) -> None:
        """Gives the release's account what its Role says, and only to that account."""
        (rule,) = objects.one("Role")["rules"]
        assert (rule["apiGroups"], rule["resources"]) == (["discovery.k8s.io"], ["endpointslices"])
        (subject,) = objects.one("RoleBinding")["subjects"]
        assert subject["name"] == objects.pod["serviceAccountName"]
        self.server.tokens = {TOKEN}
        self.server.verbs = set(rule["verbs"])

    def pods(self, objects: Objects, network: int) -> list["Pod"]:
        """The pods of a release, not started yet, and the slices of all of its Services.

        Args:
            network: the third number of the pods' addresses.
        """
        replicas = range(objects.workload["spec"]["replicas"])
        found = [Pod(objects, ordinal, f"127.11.{network}.{ordinal + 1}", self) for ordinal in replicas]
        for service in objects.of("Service"):
            self.server.put(slice_of(objects, service, found))
        self.started += found
        return found

    def end(self) -> None:
        """Ends whatever is left, and looks for what went wrong unseen."""
        for one in self.started:
            one.kill()
        for one in self.started:
            assert "Traceback" not in one.log(), f"{one.name}: {one.log()[-4000:]}"


class Pod(Node):
    """A pod of the release's StatefulSet."""

    def __init__(self, objects: Objects, ordinal: int, address: str, cluster: Cluster) -> None:
        name = f"{objects.workload['metadata']['name']}-{ordinal}"
        self.objects = objects
        self.address = address
        self.root = cluster.directory / name
        mounts = {mount["name"]: mount["mountPath"] for mount in objects.container["volumeMounts"]}
        environ = {key: self._placed(text, mounts) for key, text in objects.environment.items()}
        environ |= bare_environ(self.root) | {
            "HOSTNAME": name,
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(cluster.server.port),
            "PEAT_SERVICE_ACCOUNT_DIR": str(self._at(SERVICE_ACCOUNT)),
        }
        if "config" in mounts:
            environ["PEAT_CONFIG"] = str(self._at(f"{mounts['config']}/config.toml"))
        data = self._at(mounts["data"])
        super().__init__(name, data, (), environ, f"{address}:{objects.ports['peat']}")
        data.mkdir(parents=True, exist_ok=True)
        self.mount()
        if objects.pod["automountServiceAccountToken"]:
            self._mount_account(cluster.authority)

    def mount(self) -> None:
        """Writes what the volumes hold, as the kubelet does at a pod's start, and whenever a Secret has changed: then
        what a link leads to is exchanged, at once for all files."""
        mounts = {mount["name"]: mount["mountPath"] for mount in self.objects.container["volumeMounts"]}
        for volume in self.objects.pod["volumes"]:
            directory = self._at(mounts[volume["name"]])
            directory.mkdir(parents=True, exist_ok=True)
            if "secret" in volume:
                generation = directory / f"..{len(list(directory.glob('..[0-9]*')))}"
                generation.mkdir()
                for item in volume["secret"]["items"]:
                    file = generation / item["path"]
                    file.write_bytes(base64.b64decode(self.objects.one("Secret")["data"][item["key"]]))
                    file.chmod(volume["secret"]["defaultMode"])
                    link = directory / item["path"]
                    if not link.is_symlink():
                        link.symlink_to(f"..data/{item['path']}")
                draft = directory / "..data_tmp"
                draft.symlink_to(generation.name)
                draft.replace(directory / "..data")
            else:
                for key, text in self.objects.one("ConfigMap")["data"].items():
                    (directory / key).write_text(text)

    def probe(self, name: str) -> int:
        """The status that one of the container's probes gets."""
        asked = self.objects.container[name]["httpGet"]
        connection = http.client.HTTPConnection(self.address, self.objects.ports[asked["port"]], timeout=20)
        try:
            connection.request("GET", asked["path"])
            return connection.getresponse().status
        finally:
            connection.close()

    def _mount_account(self, authority: Authority) -> None:
        directory = self._at(SERVICE_ACCOUNT)
        directory.mkdir(parents=True)
        (directory / "token").write_text(TOKEN)
        (directory / "ca.crt").write_bytes(authority.ca_file.read_bytes())
        (directory / "namespace").write_text(self.objects.namespace)

    def _placed(self, text: str, mounts: dict[str, str]) -> str:
        if any(text == path or text.startswith(f"{path}/") for path in mounts.values()):
            return str(self._at(text))
        return text.replace("0.0.0.0", self.address)

    def _at(self, path: str) -> Path:
        return self.root / os.path.relpath(path, "/")


def slice_of(objects: Objects, service: Json, pods: list[Pod]) -> Json:
    """The slice that the EndpointSlice controller makes: the Service's labels, its ports as the pods have them."""
    name = service["metadata"]["name"]
    labels = {**service["metadata"]["labels"], "kubernetes.io/service-name": name}
    ports = [(port["name"], objects.ports[port["targetPort"]]) for port in service["spec"]["ports"]]
    endpoints = [pod(one.name, one.address) for one in pods]
    return endpoint_slice(f"{name}-x7k2p", *endpoints, ports=ports, labels=labels, namespace=objects.namespace)
