"""EndpointSlices as the API server stores them, and a store of them with its history. No sockets."""

import base64
import copy
import json
import re
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


def pod(name: str | None, *ips: str, uid: str | None = None, **conditions: bool | None) -> Json:
    """An endpoint; without a name, one that has no target."""
    endpoint: Json = {"addresses": list(ips), "conditions": {"ready": True, **conditions}}
    if name is not None:
        endpoint["targetRef"] = {"kind": "Pod", "namespace": "peat", "name": name, "uid": uid or f"uid-of-{name}"}
    return endpoint


def endpoint_slice(
    name: str,
    *endpoints: Json,
    ports: list[tuple[str | None, int | None]] | None = None,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    namespace: str = "peat",
) -> Json:
    """A slice; a Service without pods has `endpoints: null, ports: null`, as the real controller writes it."""
    numbered = [("peat", 11204)] if ports is None else ports
    metadata: Json = {"name": name, "namespace": namespace, "labels": labels or {"app": "peat-mesh"}}
    if annotations:
        metadata["annotations"] = annotations
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": "IPv6" if any(":" in ip for one in endpoints for ip in one["addresses"]) else "IPv4",
        "endpoints": list(endpoints) or None,
        "ports": [{"name": one, "port": number, "protocol": "TCP"} for one, number in numbered] if endpoints else None,
    }


class Gone(Exception):
    """The resource version, or the continue token, is compacted away: 410."""


@dataclass(frozen=True)
class Change:
    """One change of one object, as etcd keeps it: what was before and what is now."""

    version: int
    before: Json | None
    now: Json | None

    def event(self, namespace: str, selector: str) -> Json | None:
        """What a watch with this selector is told: an object that begins or ceases to match is added or deleted."""
        was = self.before is not None and selects(self.before, namespace, selector)
        is_now = self.now is not None and selects(self.now, namespace, selector)
        if is_now:
            return {"type": "MODIFIED" if was else "ADDED", "object": self.now}
        if was:
            assert self.before is not None
            last = copy.deepcopy(self.now or self.before)
            last["metadata"]["resourceVersion"] = str(self.version)
            return {"type": "DELETED", "object": last}
        return None


@dataclass
class SliceStore:
    """Objects, their history, and a resource version that counts over all of them."""

    version: int = 100
    objects: dict[tuple[str, str], Json] = field(default_factory=dict)
    history: list[Change] = field(default_factory=list)
    compacted: int = 0
    lists: dict[int, list[Json]] = field(default_factory=dict)

    def put(self, item: Json) -> None:
        item = copy.deepcopy(item)
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        key = (item["metadata"]["namespace"], item["metadata"]["name"])
        self.history.append(Change(self.version, self.objects.get(key), item))
        self.objects[key] = item

    def delete(self, name: str, namespace: str) -> None:
        self.version += 1
        self.history.append(Change(self.version, self.objects.pop((namespace, name)), None))

    def compact(self) -> None:
        """Forgets the history, and with it every unfinished list."""
        self.compacted = self.version
        self.history.clear()
        self.lists.clear()

    def restore(self, version: int) -> None:
        """As etcd restored from an old backup: the same objects, a resource version from the past."""
        self.version = version
        self.compacted = 0
        self.history.clear()
        self.lists.clear()

    def since(self, version: int) -> list[Change]:
        """Raises: Gone."""
        if version < self.compacted:
            raise Gone
        return [change for change in self.history if change.version > version]

    def list(self, namespace: str, selector: str, limit: int, token: str | None) -> Json:
        """A page of a snapshot, ordered by name. Raises: Gone."""
        version, start = self._position(token)
        if token is None:
            keys = sorted(self.objects)
            self.lists[version] = [self.objects[key] for key in keys]
        items = [one for one in self.lists[version] if selects(one, namespace, selector)]
        page, rest = (items[start : start + limit], items[start + limit :]) if limit else (items, [])
        metadata: Json = {"resourceVersion": str(version)}
        if rest:
            metadata["continue"] = base64.urlsafe_b64encode(json.dumps([version, start + limit]).encode()).decode()
            metadata["remainingItemCount"] = len(rest)
        return {
            "kind": "EndpointSliceList",
            "apiVersion": "discovery.k8s.io/v1",
            "metadata": metadata,
            "items": page,
        }

    def _position(self, token: str | None) -> tuple[int, int]:
        if token is None:
            return self.version, 0
        version, start = json.loads(base64.urlsafe_b64decode(token))
        if version not in self.lists:
            raise Gone
        return version, start


def selects(item: Json, namespace: str, selector: str) -> bool:
    """Whether a label selector (`=`, `==`, `!=`, `in`, `notin`, `key`, `!key`, joined by commas) selects an object."""
    labels = item["metadata"].get("labels") or {}
    terms = [term.strip() for term in re.split(r",(?![^(]*\))", selector) if term.strip()]
    return item["metadata"]["namespace"] == namespace and all(_holds(term, labels) for term in terms)


def _holds(term: str, labels: dict[str, str]) -> bool:
    if sets := re.fullmatch(r"(\S+)\s+(in|notin)\s+\((.*)\)", term):
        values = {value.strip() for value in sets[3].split(",")}
        return (labels.get(sets[1]) in values) == (sets[2] == "in")
    if "!=" in term:
        key, value = term.split("!=")
        return labels.get(key.strip()) != value.strip()
    if "=" in term:
        key, value = re.split("==?", term)
        return labels.get(key.strip()) == value.strip()
    return (term.lstrip("!") in labels) != term.startswith("!")
