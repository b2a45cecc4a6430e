"""A node's metrics, read as Prometheus reads them."""

from e2e.nodes import Node
from prometheus_client.parser import text_string_to_metric_families as parse


def scrape(node: Node) -> dict[tuple[str, ...], float]:
    """By name and the values of labels."""
    text = node.ask("GET", "/metrics").body.decode()
    return {(sample.name, *sample.labels.values()): sample.value for family in parse(text) for sample in family.samples}
