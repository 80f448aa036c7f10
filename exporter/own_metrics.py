"""The exporter's own metrics: counters and gauges of prometheus_client, created from the metric table.

Numbers that a clipper's signal handler may change are kept by the store, because prometheus_client's locks are not
reentrant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric
from prometheus_client.samples import Sample

from exporter.metrics import OWN_FAMILIES, Family

_Kind = TypeVar("_Kind", Counter, Gauge)


class OwnMetrics:
    """The own metrics of one server, in their own ``registry``.

    Each family is created once, by the object that updates it. Creating it twice, with another type, or without an
    entry in the metric table raises ``ValueError``.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._made: dict[Family, Counter | Gauge] = {}

    @property
    def made(self) -> frozenset[Family]:
        """The families created so far."""
        return frozenset(self._made)

    def counter(self, family: Family, values: Iterable[str] = ()) -> Counter:
        """Return a new counter; label ``values`` start at 0, so that increase() sees the first event."""
        counter = self._make(_Counter, family)
        for value in values:
            counter.labels(value)
        return counter

    def gauge(self, family: Family) -> Gauge:
        """Return a new gauge; without labels it has no sample until it is set."""
        gauge = self._make(_Gauge, family)
        if not family.labels:
            gauge.set(math.nan)
        return gauge

    def collect(self, family: Family) -> Iterable[Metric]:
        """Return a family with its samples, or nothing if it was not created."""
        made = self._made.get(family)
        return () if made is None else made.collect()

    def _make(self, kind: type[_Kind], family: Family) -> _Kind:
        if family not in OWN_FAMILIES or kind is not _KINDS[family.type]:
            raise ValueError(
                f"{family.name}: not a {kind.__name__[1:].lower()} of the exporter's own in the metric table"
            )
        made = kind(family.name, family.help, family.labels, registry=self.registry)
        self._made[family] = made
        return made


class _Counter(Counter):
    """A counter without ``_created`` series, which are useless in Prometheus without a feature flag."""

    def collect(self) -> Iterable[Metric]:
        return _kept(super().collect(), lambda sample: not sample.name.endswith("_created"))


class _Gauge(Gauge):
    """A gauge without a sample while its value is NaN."""

    def collect(self) -> Iterable[Metric]:
        return _kept(super().collect(), lambda sample: not math.isnan(sample.value))


_KINDS: Final = {"counter": _Counter, "gauge": _Gauge}


def _kept(metrics: Iterable[Metric], wanted: Callable[[Sample], bool]) -> list[Metric]:
    metrics = list(metrics)
    for metric in metrics:
        metric.samples = [sample for sample in metric.samples if wanted(sample)]
    return metrics
