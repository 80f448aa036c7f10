"""A prometheus_client collector over the store: the families of the metric table, with their samples.

It emits lines like these, built fresh on each scrape (https://prometheus.io/docs/instrumenting/writing_exporters/#collectors)::

    clipper_viewers{streamer="xQc"} 45000.0
    clipper_triggers_total{streamer="xQc",type="viewer_spike"} 3.0
    clipper_exporter_updates_total{via="local"} 1234.0

Counters have no creation time: ``_created`` series are useless in Prometheus without a feature flag.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from exporter._version import __version__
from exporter.metrics import BUILD_INFO, OWN_FAMILIES, STORE_FAMILIES, Family
from exporter.own_metrics import OwnMetrics
from exporter.store.rows import RowCopy
from exporter.store.store import Store

Sample = tuple[tuple[str, ...], float]
"""The label values and the value of a sample."""

_KINDS: Final[dict[str, type[GaugeMetricFamily | CounterMetricFamily]]] = {
    "gauge": GaugeMetricFamily,
    "counter": CounterMetricFamily,
}
_BUILD: Final = {(__version__, platform.python_version()): 1}


class ClipperCollector(Collector):
    """The ``clipper_*`` families of one store, for its streamers and for the store itself.

    Register it in any ``CollectorRegistry``. With ``own``, a server's own metrics, it has every family of the metric
    table; families that ``own`` did not create have no samples.
    """

    def __init__(self, store: Store, own: OwnMetrics | None = None) -> None:
        self.store = store
        self._own = own

    def describe(self) -> Iterable[Metric]:
        """Yield the families without samples, so that registering never scrapes."""
        yield from map(empty, STORE_FAMILIES)
        about_store = self._about_store()
        yield from (empty(family) for family in OWN_FAMILIES if self._own is not None or family in about_store)

    def collect(self) -> Iterator[Metric]:
        """Yield the families with samples, built from a copy of the store without holding its lock."""
        rows = self.store.rows()
        for family in STORE_FAMILIES:
            yield _filled(family, _store_samples(family, rows))
        yield from self.collect_own()

    def collect_own(self) -> Iterator[Metric]:
        """Yield the exporter's own metrics, which come last."""
        about_store = self._about_store()
        for family in OWN_FAMILIES:
            if family in about_store:
                yield _filled(family, _own_samples(family, about_store[family]))
            elif self._own is not None:
                yield from self._own.collect(family) or [empty(family)]

    def _about_store(self) -> dict[Family, Any]:
        return {BUILD_INFO: _BUILD, **self.store.own_numbers()}


def empty(family: Family) -> GaugeMetricFamily | CounterMetricFamily:
    """Return a family without samples."""
    return _KINDS[family.type](family.name, family.help, labels=family.labels)


def _filled(family: Family, samples: Iterable[Sample]) -> Metric:
    metric = empty(family)
    for labels, value in samples:
        metric.add_metric(labels, value)
    return metric


def _store_samples(family: Family, rows: Iterable[RowCopy]) -> Iterator[Sample]:
    by_streamer_alone = len(family.labels) == 1
    for row in rows:
        held = getattr(row, family.field)
        if not by_streamer_alone:
            for label, value in held.items():
                yield (row.streamer, label), value
        elif held is not None:
            yield (row.streamer,), int(held) if family.whole else held


def _own_samples(family: Family, held: Any) -> Iterator[Sample]:
    if not family.labels:
        yield (), held
        return
    for label, value in held.items():
        yield label if isinstance(label, tuple) else (label,), value
