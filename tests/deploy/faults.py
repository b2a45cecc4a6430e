"""All that is wrong with rendered documents. What no schema sees is checked here, each rule in a sentence."""

from collections.abc import Callable, Iterator

from deploy.chart import Json
from deploy.faults_network import network_faults
from deploy.faults_rights import rights_faults
from deploy.faults_services import service_faults
from deploy.faults_shape import shape_faults
from deploy.faults_workload import workload_faults
from deploy.objects import Broken, Objects

RULES: tuple[Callable[[Objects], Iterator[str]], ...] = (
    shape_faults,
    workload_faults,
    service_faults,
    rights_faults,
    network_faults,
)


def faults(documents: list[Json]) -> list[str]:
    """One sentence for each fault; none for documents that will work."""
    objects = Objects(documents)
    found: list[str] = []
    for rule in RULES:
        try:
            found += rule(objects)
        except (Broken, KeyError, TypeError, AttributeError, IndexError, ValueError) as wrong:
            found.append(f"{rule.__name__}: {wrong!r}")
    return found
