"""What a process measures, in the format of Prometheus."""

from collections.abc import Iterator, Sequence
from itertools import accumulate

from peatd.measures import Durations, Kind, Measure


def exposition(measures: Sequence[Measure | Durations], accept: str) -> tuple[bytes, str]:
    """The measures and those of the process, in the format that `accept` (the header) asks for; and its media type.

    Slow: it reads a directory, and at first imports a library.
    """
    # Imported when it is first asked for: 3 MiB that a node which nobody scrapes does without.
    from prometheus_client import PlatformCollector, ProcessCollector
    from prometheus_client.core import (
        CollectorRegistry,
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        Metric,
    )
    from prometheus_client.exposition import choose_encoder
    from prometheus_client.registry import Collector

    class Node(Collector):
        def collect(self) -> Iterator[Metric]:
            for measure in measures:
                if isinstance(measure, Durations):
                    histogram = measure.histogram
                    bounds = [*(str(bound) for bound in histogram.bounds), "+Inf"]
                    buckets = list(zip(bounds, accumulate(histogram.counts), strict=True))
                    yield HistogramMetricFamily(measure.name, measure.meaning, buckets, histogram.sum)
                    continue
                kind = CounterMetricFamily if measure.kind is Kind.COUNTER else GaugeMetricFamily
                family = kind(measure.name, measure.meaning, labels=measure.labels)
                for labels, value in measure.values:
                    family.add_metric(labels, value)
                yield family

    registry = CollectorRegistry()
    registry.register(Node())
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
