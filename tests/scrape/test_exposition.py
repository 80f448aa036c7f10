from __future__ import annotations

import gzip
import inspect
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Gauge, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from exporter import SharedStats
from exporter.scrape.collector import ClipperCollector
from exporter.scrape.exposition import Exposition, accepts_gzip
from tests.clock import FakeClock

OPENMETRICS = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,*/*;q=0.1"
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"
KNOWS_ESCAPING = "escaping" in inspect.signature(generate_latest).parameters  # prometheus_client 0.22 and newer


class Failing(Collector):
    """Fails while it collects, after one good family."""

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("good", "Comes before the failure.", value=1)
        raise RuntimeError("the database is away")


class Unrenderable(Collector):
    """Collects what no renderer can write."""

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("unrenderable", "A value that is no number.", value="many")  # type: ignore[arg-type]


@pytest.fixture
def store() -> SharedStats:
    store = SharedStats.create(clock=FakeClock())
    store.update_viewers("xQc", 45000)
    return store


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge("host", "A gauge of the host program.", registry=registry).set(7)
    return registry


def ticking() -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += 0.25


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", PLAIN),
        ("*/*", PLAIN),
        ("text/plain", PLAIN),
        ("text/html,application/xhtml+xml", PLAIN),
        ("text/plain;version=0.0.4", PLAIN),
        (
            "text/plain;version=1.0.0",
            "text/plain; version=1.0.0; charset=utf-8; escaping=underscores" if KNOWS_ESCAPING else PLAIN,
        ),
        (OPENMETRICS, f"{OPEN}; escaping=underscores" if KNOWS_ESCAPING else OPEN),
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3",
            f"{OPEN}; escaping=allow-utf-8" if KNOWS_ESCAPING else OPEN,
        ),
        ("text/plain;version=newest", PLAIN),
        ("application/openmetrics-text;version=", OPEN),
    ],
)
def test_the_format_is_as_asked(
    store: SharedStats, registry: CollectorRegistry, accept: str, content_type: str
) -> None:
    scrape = Exposition(store, registry).scrape(accept, "", ())
    assert scrape.content_type == content_type
    assert scrape.body.endswith(b"# EOF\n") == content_type.startswith("application/openmetrics-text")
    assert scrape.body.count(b"# EOF\n") <= 1


def test_the_families_are_those_of_one_registry_rendered_by_prometheus_client(
    store: SharedStats, registry: CollectorRegistry
) -> None:
    exposition = Exposition(store, registry)
    plain, open_ = exposition.scrape("", "", ()), Exposition(store, registry).scrape(OPENMETRICS, "", ())
    together = CollectorRegistry()
    Gauge("host", "A gauge of the host program.", registry=together).set(7)
    together.register(ClipperCollector(store, Exposition(store, registry).own))
    assert plain.body == generate_latest(together)
    assert open_.body == openmetrics.generate_latest(together)  # type: ignore[no-untyped-call]


def test_a_registry_that_holds_our_collector_does_not_show_its_families_twice(
    store: SharedStats, registry: CollectorRegistry
) -> None:
    registry.register(ClipperCollector(store))
    body = Exposition(store, registry).scrape("", "", ()).body
    assert body.count(b"# TYPE clipper_viewers gauge\n") == 1


def test_a_registry_with_another_stores_families_is_refused(store: SharedStats, registry: CollectorRegistry) -> None:
    registry.register(ClipperCollector(SharedStats.create()))
    with pytest.raises(ValueError, match=r"registry: it already holds the clipper_\* families of another store"):
        Exposition(store, registry)


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
@pytest.mark.parametrize("bad", [Failing(), Unrenderable()], ids=["collect", "render"])
def test_a_failing_collector_costs_only_its_own_families(
    store: SharedStats, registry: CollectorRegistry, bad: Collector, accept: str, caplog: pytest.LogCaptureFixture
) -> None:
    registry.register(bad)
    last = Gauge("last", "Registered after the one that fails.", registry=registry)
    last.set(1)
    exposition = Exposition(store, registry)
    with caplog.at_level(logging.WARNING):
        exposition.scrape(accept, "", ())
        text = exposition.scrape(accept, "", ()).body.decode()
    name = type(bad).__name__
    assert "host 7.0\n" in text
    assert "last 1.0\n" in text
    assert 'clipper_viewers{streamer="xQc"} 45000.0\n' in text
    assert f'clipper_exporter_collector_failures_total{{collector="{name}"}} 2.0\n' in text
    assert "good" not in text
    assert "unrenderable" not in text
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage().startswith(f"collector {name} left out of a scrape: ")


class TestNames:
    """``name[]`` restricts as prometheus_client's restricted_registry does."""

    @pytest.mark.parametrize(
        "names",
        [
            {"clipper_viewers"},
            {"host"},
            {"clipper_viewers", "host", "no_such_name"},
            {"clipper_triggers_total"},
            {"clipper_triggers"},
            {"no_such_name"},
            {"target_info"},
        ],
    )
    def test_restrict(self, store: SharedStats, names: set[str]) -> None:
        registry = CollectorRegistry(target_info={"region": "home"})
        Gauge("host", "A gauge of the host program.", registry=registry).set(7)
        mine = Exposition(store, registry).scrape("", "", names).body
        registry.register(ClipperCollector(store))
        theirs = generate_latest(registry.restricted_registry(names))
        # The set of collectors that theirs walks has no order.
        assert sorted(mine.splitlines()) == sorted(theirs.splitlines())

    def test_collect_only_from_those_who_declare_one(self, store: SharedStats, registry: CollectorRegistry) -> None:
        class Costly(Collector):
            collected = 0

            def describe(self) -> list[Metric]:
                return [GaugeMetricFamily("costly", "Takes long.")]

            def collect(self) -> list[Metric]:
                self.collected += 1
                return [GaugeMetricFamily("costly", "Takes long.", value=1)]

        costly = Costly()
        registry.register(costly)
        exposition = Exposition(store, registry)
        exposition.scrape("", "", {"host"})
        assert costly.collected == 0
        assert exposition.scrape("", "", {"costly"}).body.endswith(b"costly 1.0\n")


def test_target_info_comes_first(store: SharedStats) -> None:
    registry = CollectorRegistry(target_info={"region": "home"})
    assert (
        Exposition(store, registry)
        .scrape("", "", ())
        .body.startswith(
            b'# HELP target_info Target metadata\n# TYPE target_info gauge\ntarget_info{region="home"} 1.0\n'
        )
    )


def test_a_scrape_tells_of_the_one_before(store: SharedStats) -> None:
    exposition = Exposition(store, CollectorRegistry(), clock=ticking().__next__)
    first = exposition.scrape("", "gzip", ())
    assert b"\nclipper_exporter_scrape_duration_seconds " not in gzip.decompress(first.body)
    second = exposition.scrape("", "", ()).body.decode()
    assert "\nclipper_exporter_scrape_duration_seconds 0.25\n" in second
    assert f"\nclipper_exporter_scrape_size_bytes {float(len(gzip.decompress(first.body)))}\n" in second


class PublicRegistry:
    """A registry that has only what prometheus_client documents."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.collect = registry.collect
        self.restricted_registry = registry.restricted_registry
        self.get_target_info = registry.get_target_info


@pytest.mark.parametrize("names", [(), ("host", "clipper_viewers"), ("target_info",), ("nothing",)])
def test_a_registry_without_the_insides_of_todays_is_served_all_the_same(
    store: SharedStats, names: tuple[str, ...]
) -> None:
    registry = CollectorRegistry(target_info={"region": "home"})
    Gauge("host", "A gauge of the host program.", registry=registry).set(7)
    registry.register(ClipperCollector(store))
    public: Any = PublicRegistry(registry)
    for accept in ("", OPENMETRICS):
        expected = Exposition(store, registry, clock=lambda: 0.0).scrape(accept, "", names).body
        assert Exposition(store, public, clock=lambda: 0.0).scrape(accept, "", names).body == expected


def test_without_the_insides_a_failure_costs_the_registry_and_no_more(store: SharedStats) -> None:
    registry = CollectorRegistry()
    registry.register(Failing())
    public: Any = PublicRegistry(registry)
    text = Exposition(store, public).scrape("", "", ()).body.decode()
    assert 'clipper_viewers{streamer="xQc"} 45000.0\n' in text
    assert 'clipper_exporter_collector_failures_total{collector="_Registered"} 1.0\n' in text
    assert "good" not in text


def test_gzip_is_the_same_text_in_one_member(store: SharedStats, registry: CollectorRegistry) -> None:
    plain = Exposition(store, registry).scrape("", "identity", ())
    zipped = Exposition(store, registry).scrape("", "gzip, deflate", ())
    assert (plain.gzipped, zipped.gzipped) == (False, True)
    assert gzip.decompress(zipped.body) == plain.body
    assert zipped.body.count(b"\x1f\x8b\x08") == 1


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("deflate, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0.0, *;q=1", False),
        ("*", True),
        ("*;q=0", False),
        ("identity", False),
        ("br, zstd", False),
        ("gzip ; q=1", True),
        ("gzip;q=high", False),
        ("notgzip", False),
    ],
)
def test_accept_encoding(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted
