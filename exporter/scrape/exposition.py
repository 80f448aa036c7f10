"""The exposition: the families of all collectors, in the format and encoding that the client accepts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from exporter.logs import RateLimited
from exporter.metrics import COLLECTOR_FAILURES, FAMILIES, SCRAPE_DURATION, SCRAPE_SIZE, STORE_FAMILIES
from exporter.own_metrics import OwnMetrics
from exporter.scrape.cache import StoreLines
from exporter.scrape.collector import ClipperCollector, empty
from exporter.store.store import Store

try:
    from isal import isal_zlib as _zlib
except ImportError:  # some machines have no wheel; the standard library's zlib is three times slower
    import zlib as _zlib  # type: ignore[no-redef]

logger = logging.getLogger(__name__)

Encoder = Callable[[Collector], bytes]

_GATHERED: Final = 1024 * 1024  # bytes compressed at once; they fit in a CPU cache
_END: Final = b"# EOF\n"  # ends an OpenMetrics exposition


@dataclass(frozen=True, slots=True)
class Scrape:
    """A rendered scrape: ``parts`` joined are the body, compressed if ``gzipped``.

    Most parts come from the cache, and joining them would be most of the work of a scrape.
    """

    parts: Sequence[bytes]
    content_type: str
    gzipped: bool

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.parts)

    @property
    def size(self) -> int:
        """The size of the body in bytes."""
        return sum(map(len, self.parts))


class Exposition:
    """Renders the store's families and those of all other collectors in a registry.

    ``own`` holds the server's own metrics. If a collector fails, only its families are missing; the failure is logged
    and counted. Raises ``ValueError`` if the registry holds the families of another store, which have the same names.
    """

    def __init__(
        self,
        store: Store,
        registry: CollectorRegistry,
        own: OwnMetrics | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._log = RateLimited(logger)
        self.own = own or OwnMetrics()
        self._failures = self.own.counter(COLLECTOR_FAILURES)
        self._duration = self.own.gauge(SCRAPE_DURATION)
        self._size = self.own.gauge(SCRAPE_SIZE)
        self._ours = ClipperCollector(store, self.own)
        self._lines = StoreLines(store)
        if any(isinstance(other, ClipperCollector) and other.store is not store for other in _collectors(registry)):
            raise ValueError("registry: it already holds the clipper_* families of another store; use another registry")

    def scrape(self, accept: str, accept_encoding: str, names: Collection[str]) -> Scrape:
        """Return a scrape for ``Accept`` and ``Accept-Encoding``; ``names`` selects samples, all if empty."""
        began = self._clock()
        encoder, content_type = _encoder(accept)
        others = _collectors(self._registry, names)
        parts = [
            self._render(type(other).__name__, other.collect, encoder, names)
            for other in others
            if not isinstance(other, ClipperCollector)
        ]
        rest = self._ours.collect
        if _keeps_names(content_type):
            parts += self._render_kept(encoder, names)
            rest = self._ours.collect_own
        parts.append(self._render(type(self._ours).__name__, rest, encoder, names))
        if content_type.startswith("application/openmetrics-text"):
            parts = [part.removesuffix(_END) for part in parts] + [_END]
        size = sum(map(len, parts))
        gzipped = accepts_gzip(accept_encoding)
        body = _gzip(parts) if gzipped else parts
        self._duration.set(self._clock() - began)
        self._size.set(size)
        return Scrape(body, content_type, gzipped)

    def _render_kept(self, encoder: Encoder, names: Collection[str]) -> Iterator[bytes]:
        for family, texts in zip(STORE_FAMILIES, self._lines.texts(), strict=True):
            if not names or (family.name in names and any(texts)):
                yield encoder(_Collected([empty(family)])).removesuffix(_END)
                yield from texts

    def _render(
        self, name: str, collect: Callable[[], Iterable[Metric]], encoder: Encoder, names: Collection[str]
    ) -> bytes:
        try:
            metrics = list(collect())
            return encoder(_Collected(_only(metrics, names) if names else metrics))
        except Exception as problem:  # noqa: BLE001 - a failing collector must not affect the others
            self._failures.labels(name).inc()
            self._log.warning(name, f"collector {name} left out of a scrape: {type(problem).__name__}: {problem}")
            return b""


def _gzip(parts: Iterable[bytes]) -> list[bytes]:
    """Return all ``parts`` as one gzip member."""
    # Level 1: higher levels cost many times more CPU for a slightly smaller body that is read once.
    compressor = _zlib.compressobj(1, _zlib.DEFLATED, 31)
    compressed, gathered, size = [], [], 0
    for part in parts:
        gathered.append(part)
        size += len(part)
        # In few calls, because each releases the GIL and waits to get it back.
        if size >= _GATHERED:
            compressed.append(compressor.compress(b"".join(gathered)))
            gathered, size = [], 0
    return [b"".join([*compressed, compressor.compress(b"".join(gathered)), compressor.flush()])]


class _Collected(Collector):
    """Collected families, as prometheus_client's renderers expect them."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


class _Registered(Collector):
    """All families of a registry except ours, through its public interface."""

    def __init__(self, registry: CollectorRegistry, names: Collection[str]) -> None:
        self._registry = registry.restricted_registry(names) if names else registry

    def collect(self) -> Iterable[Metric]:
        ours = {empty(family).name for family in FAMILIES}
        return [metric for metric in self._registry.collect() if metric.name not in ours]


def _keeps_names(content_type: str) -> bool:
    # The other schemes may change even a name without a dot: https://prometheus.io/docs/instrumenting/escaping_schemes/
    return not content_type.endswith(("escaping=dots", "escaping=values"))


def _collectors(registry: CollectorRegistry, names: Collection[str] = ()) -> list[Collector]:
    """Return the registry's collectors; with ``names``, those that declare one, as ``restricted_registry`` does."""
    # The public interface collects all families in one call, which the first failure ends; hence private attributes.
    try:
        with registry._lock:
            declared = dict(registry._collector_to_names)
    except AttributeError:  # without these private attributes, one failure loses all families of the registry
        return [_Registered(registry, names)]
    found = [collector for collector, known in declared.items() if not names or not set(names).isdisjoint(known)]
    target = registry.get_target_info()
    if target and (not names or "target_info" in names):
        metric = Metric("target", "Target metadata", "info")
        metric.add_sample("target_info", target, 1)
        found.insert(0, _Collected([metric]))
    return found


def _only(metrics: Iterable[Metric], names: Collection[str]) -> Iterable[Metric]:
    for metric in metrics:
        kept = [sample for sample in metric.samples if sample.name in names]
        if kept:
            restricted = Metric(metric.name, metric.documentation, metric.type, metric.unit)
            restricted.samples = kept
            yield restricted


def _encoder(accept: str) -> tuple[Encoder, str]:
    try:
        return choose_encoder(accept)
    except (ValueError, TypeError):  # an invalid version
        return choose_encoder("")


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether an ``Accept-Encoding`` header allows gzip (RFC 9110, section 12.5.3)."""
    weights = accepted(accept_encoding)
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def accepted(header: str) -> dict[str, float]:
    """Return the weights in an ``Accept`` or ``Accept-Encoding`` header by name (RFC 9110, section 12.4.2)."""
    weights: dict[str, float] = {}
    for item in header.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        weight = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        try:
            weights[name] = float(weight)
        except ValueError:
            weights[name] = 0.0
    return weights
