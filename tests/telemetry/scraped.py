"""What a scrape says, by name and labels; read by parsers that take no liberties."""

from typing import Any

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from holdfast.telemetry.prometheus import Collector

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def registry_of(*sources: Any, **options: Any) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(Collector(*sources, **options))
    return registry


def text_of(*sources: Any, **options: Any) -> str:
    return generate_latest(registry_of(*sources, **options)).decode()


def samples_in(families: Any) -> Samples:
    """Return the samples; two of one name and the same labels are an error."""
    found: Samples = {}
    for family in families:
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def scrape(*sources: Any, **options: Any) -> Samples:
    """Return what both formats say of one moment, which is the same."""
    registry = CollectorRegistry()
    registry.register(_Once(registry_of(*sources, **options)))
    text = generate_latest(registry).decode()
    found = samples_in(parse_text(text))
    assert samples_in(parse_openmetrics(openmetrics.generate_latest(registry).decode())) == found
    return found


class _Once:
    """Reads a registry once, and says the same whenever it is asked."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._metrics = list(registry.collect())

    def collect(self) -> list[Metric]:
        return self._metrics


class Scrape:
    """One scrape, asked by name and labels; the namespace is left out."""

    def __init__(self, *sources: Any, **options: Any) -> None:
        self.samples = scrape(*sources, **options)
        self._prefix = options.get("namespace", "holdfast") + "_"

    def __call__(self, metric: str, /, **labels: str) -> float:
        labels = {name.rstrip("_"): value for name, value in labels.items()}
        return self.samples[self._prefix + metric, frozenset(labels.items())]

    def series(self, metric: str) -> set[frozenset[tuple[str, str]]]:
        """Return the label sets there are."""
        return {labels for name, labels in self.samples if name == self._prefix + metric}

    def names(self) -> set[str]:
        return {name for name, _ in self.samples}
