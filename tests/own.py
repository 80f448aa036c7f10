"""Reading the exporter's own numbers."""

from __future__ import annotations

from exporter.metrics import Family
from exporter.own_metrics import OwnMetrics


def own_value(own: OwnMetrics, family: Family, *labels: str) -> float:
    """Return the value of the sample with these values of the family's labels."""
    value = own.registry.get_sample_value(family.name, dict(zip(family.labels, labels, strict=True)))
    assert value is not None, f"{family.name} has no such sample"
    return value
