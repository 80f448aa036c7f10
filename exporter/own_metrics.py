"""The exporter's own numbers: prometheus_client's counters and gauges, made from the metric table.

Numbers that a clipper's signal handler may change stay with the store: prometheus_client's locks are not reentrant.
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
    """The own metrics of one server, in a ``registry`` of their own.

    Each family is made once, by whatever keeps its number. Making it twice, as the other type, or without an entry in
    the metric table raises ``ValueError``.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._made: dict[Family, Counter | Gauge] = {}

    @property
    def made(self) -> frozenset[Family]:
        """The families made so far."""
        return frozenset(self._made)

    def counter(self, family: Family, values: Iterable[str] = ()) -> Counter:
        """Make a counter; each of ``values`` of its label starts at 0, so that increase() sees the first event."""
        counter = self._make(_Counter, family)
        for value in values:
            counter.labels(value)
        return counter

    def gauge(self, family: Family) -> Gauge:
        """Make a gauge; one without labels has no sample until it is set."""
        gauge = self._make(_Gauge, family)
        if not family.labels:
            gauge.set(math.nan)
        return gauge

    def collect(self, family: Family) -> Iterable[Metric]:
        """Return a family with its samples; nothing if it was not made."""
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
    """A counter without its creation time: stored without a feature flag, ``_created`` series are junk."""

    def collect(self) -> Iterable[Metric]:
        return _kept(super().collect(), lambda sample: not sample.name.endswith("_created"))


class _Gauge(Gauge):
    """A gauge whose value NaN means that there is none."""

    def collect(self) -> Iterable[Metric]:
        return _kept(super().collect(), lambda sample: not math.isnan(sample.value))


_KINDS: Final = {"counter": _Counter, "gauge": _Gauge}


def _kept(metrics: Iterable[Metric], wanted: Callable[[Sample], bool]) -> list[Metric]:
    metrics = list(metrics)
    for metric in metrics:
        metric.samples = [sample for sample in metric.samples if wanted(sample)]
    return metrics
