"""Who gets through to the nodes, how many may be away, and who scrapes them."""

from collections.abc import Iterator

from deploy.chart import Json
from deploy.objects import Objects, matches


def network_faults(objects: Objects) -> Iterator[str]:
    for policy in objects.of("NetworkPolicy"):
        yield from _policy_faults(policy["spec"], objects)
    for budget in objects.of("PodDisruptionBudget"):
        yield from _budget_faults(budget["spec"], objects)
    for monitor in objects.of("ServiceMonitor"):
        yield from _monitor_faults(monitor, objects)


def _policy_faults(spec: Json, objects: Objects) -> Iterator[str]:
    if spec["podSelector"] != {"matchLabels": objects.nodes} or spec["policyTypes"] != ["Ingress"]:
        yield "the policy is not for what comes in to the nodes"
    rules: dict[int, Json] = {}
    for rule in spec["ingress"]:
        (port,) = rule["ports"]
        if port.keys() != {"port", "protocol"} or port["protocol"] != "TCP" or rule.keys() - {"ports", "from"}:
            yield f"the policy has the rule {rule}"
        rules[port["port"]] = rule
    if rules.keys() != set(objects.ports.values()):
        yield f"the policy is for the ports {sorted(rules)}, the nodes have {sorted(objects.ports.values())}"
    mesh, api = rules[objects.ports["peat"]], rules[objects.ports["http"]]
    if "from" not in mesh:
        if not objects.services("external"):
            yield "everybody reaches the mesh's port, and nobody asked for it"
    elif {"podSelector": {"matchLabels": objects.nodes}} not in mesh["from"]:
        yield "the nodes do not reach each other"
    tests = [pod["metadata"]["labels"] for pod in objects.of("Pod")]
    if "from" in api and not all(_lets_in(api, labels) for labels in tests):
        yield "`helm test` does not reach the nodes"


def _lets_in(rule: Json, labels: dict[str, str]) -> bool:
    return any(
        source.keys() == {"podSelector"} and matches(source["podSelector"]["matchLabels"], labels)
        for source in rule["from"]
    )


def _budget_faults(spec: Json, objects: Objects) -> Iterator[str]:
    if spec["selector"] != {"matchLabels": objects.nodes}:
        yield "the budget counts other pods than the nodes"
    if spec.keys() != {"selector", "maxUnavailable", "unhealthyPodEvictionPolicy"}:
        yield f"the budget has {sorted(spec)}"
    if spec["unhealthyPodEvictionPolicy"] != "AlwaysAllow":
        yield "a node that is not ready keeps a machine from being drained"


def _monitor_faults(monitor: Json, objects: Objects) -> Iterator[str]:
    spec = monitor["spec"]
    if spec.keys() != {"selector", "endpoints"} or spec["selector"].keys() != {"matchLabels"}:
        yield f"the monitor has {sorted(spec)}"
    selector = spec["selector"]["matchLabels"]
    found = [one for one in objects.of("Service") if matches(selector, one["metadata"]["labels"])]
    if "app.kubernetes.io/instance" not in selector or found != [objects.api]:
        yield f"the monitor selects {[one['metadata']['name'] for one in found]}"
    (endpoint,) = spec["endpoints"]
    if endpoint.keys() != {"port", "path", "interval"} or (endpoint["port"], endpoint["path"]) != ("http", "/metrics"):
        yield f"the monitor scrapes {endpoint}"
