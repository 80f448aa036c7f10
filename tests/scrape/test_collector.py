from __future__ import annotations

import platform
import threading
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

import exporter
from exporter import SharedStats
from exporter.metrics import BUILD_INFO, FAMILIES, STORE_FAMILIES
from exporter.own_metrics import OwnMetrics
from exporter.scrape.collector import ClipperCollector
from exporter.settings.options import ServeOptions
from exporter.web.listener import listen
from exporter.web.server import Server
from tests.clock import FakeClock

EMPTY_STORE_SAMPLES = """\
clipper_exporter_build_info{{python_version="{python}",version="{version}"}} 1.0
clipper_exporter_streamers {streamers}
clipper_exporter_streamers_limit 200000.0
clipper_exporter_streamers_expired_total 0.0
clipper_exporter_updates_total{{via="local"}} {updates}
clipper_exporter_updates_total{{via="http"}} 0.0
clipper_exporter_updates_rejected_total{{reason="invalid_name"}} 0.0
clipper_exporter_updates_rejected_total{{reason="invalid_number"}} 0.0
clipper_exporter_updates_rejected_total{{reason="invalid_recording"}} 0.0
clipper_exporter_updates_rejected_total{{reason="invalid_details"}} 0.0
clipper_exporter_updates_rejected_total{{reason="too_many_streamers"}} 0.0
clipper_exporter_updates_rejected_total{{reason="too_many_trigger_types"}} 0.0
clipper_exporter_updates_rejected_total{{reason="invalid_timestamp"}} 0.0
clipper_exporter_updates_rejected_total{{reason="malformed"}} 0.0
clipper_exporter_updates_rejected_total{{reason="too_large"}} 0.0
clipper_exporter_updates_rejected_total{{reason="wrong_media_type"}} 0.0
clipper_exporter_updates_rejected_total{{reason="unauthorized"}} 0.0
"""


@pytest.fixture
def store() -> SharedStats:
    return SharedStats.create(clock=FakeClock(), trigger_types=("viewer_spike", "keyword"))


@pytest.fixture
def registry(store: SharedStats) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(ClipperCollector(store))
    return registry


def samples(exposition: bytes) -> str:
    return "".join(line for line in exposition.decode().splitlines(keepends=True) if not line.startswith("#"))


def own(streamers: float, updates: float) -> str:
    return EMPTY_STORE_SAMPLES.format(
        python=platform.python_version(), version=exporter.__version__, streamers=streamers, updates=updates
    )


def test_an_empty_store_has_only_its_own_samples(registry: CollectorRegistry) -> None:
    assert samples(generate_latest(registry)) == own(streamers=0.0, updates=0.0)


def test_what_was_never_reported_is_absent_and_declared_counters_start_at_0(
    store: SharedStats, registry: CollectorRegistry
) -> None:
    store.update_viewers("xQc", 45000)
    assert samples(generate_latest(registry)) == (
        """\
clipper_viewers{streamer="xQc"} 45000.0
clipper_triggers_total{streamer="xQc",type="viewer_spike"} 0.0
clipper_triggers_total{streamer="xQc",type="keyword"} 0.0
clipper_clips_total{streamer="xQc"} 0.0
clipper_last_update_timestamp_seconds{streamer="xQc"} 1.7686458e+09
"""
        + own(streamers=1.0, updates=1.0)
    )


def test_everything_reported_is_there(store: SharedStats, registry: CollectorRegistry) -> None:
    store.update_viewers("xQc", 45000)
    store.update_velocity("xQc", 125.5)
    store.update_recording_status("xQc", True)
    store.update_recording_status("shroud", False)
    store.add_trigger("xQc", "viewer_spike")
    store.add_trigger("xQc", "raid")
    store.increment_clips_today("xQc")
    assert samples(generate_latest(registry)) == (
        """\
clipper_viewers{streamer="xQc"} 45000.0
clipper_chat_velocity{streamer="xQc"} 125.5
clipper_recording{streamer="xQc"} 1.0
clipper_recording{streamer="shroud"} 0.0
clipper_triggers_total{streamer="xQc",type="viewer_spike"} 1.0
clipper_triggers_total{streamer="xQc",type="keyword"} 0.0
clipper_triggers_total{streamer="xQc",type="raid"} 1.0
clipper_triggers_total{streamer="shroud",type="viewer_spike"} 0.0
clipper_triggers_total{streamer="shroud",type="keyword"} 0.0
clipper_clips_total{streamer="xQc"} 1.0
clipper_clips_total{streamer="shroud"} 0.0
clipper_last_trigger_timestamp_seconds{streamer="xQc",type="viewer_spike"} 1.7686458e+09
clipper_last_trigger_timestamp_seconds{streamer="xQc",type="raid"} 1.7686458e+09
clipper_last_update_timestamp_seconds{streamer="xQc"} 1.7686458e+09
clipper_last_update_timestamp_seconds{streamer="shroud"} 1.7686458e+09
"""
        + own(streamers=2.0, updates=7.0)
    )


def test_every_family_has_its_help_and_type(store: SharedStats, registry: CollectorRegistry) -> None:
    lines = generate_latest(registry).decode().splitlines()
    for family in (*STORE_FAMILIES, BUILD_INFO, *store.own_numbers()):
        assert f"# HELP {family.name} {family.help}" in lines
        assert f"# TYPE {family.name} {family.type}" in lines


def test_with_own_metrics_it_has_every_family_in_the_order_of_the_table(store: SharedStats) -> None:
    for families in (ClipperCollector(store, OwnMetrics()).collect(), ClipperCollector(store, OwnMetrics()).describe()):
        assert [family.name for family in families] == [family.name.removesuffix("_total") for family in FAMILIES]


@pytest.mark.parametrize("own", [None, OwnMetrics()])
def test_it_describes_what_it_collects(store: SharedStats, own: OwnMetrics | None) -> None:
    collector = ClipperCollector(store, own)
    described, collected = list(collector.describe()), list(collector.collect())
    assert [(family.name, family.type) for family in described] == [(family.name, family.type) for family in collected]
    assert not any(family.samples for family in described)


def test_registering_never_collects(store: SharedStats) -> None:
    class Counting(ClipperCollector):
        collected = 0

        def collect(self) -> Any:
            self.collected += 1
            return super().collect()

    collector = Counting(store)
    registry = CollectorRegistry(auto_describe=True)
    registry.register(collector)
    assert collector.collected == 0
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        registry.register(ClipperCollector(store))
    registry.unregister(collector)
    registry.register(ClipperCollector(store))


def test_the_hosts_metrics_keep_their_creation_times_and_ours_have_none(
    store: SharedStats, registry: CollectorRegistry
) -> None:
    store.add_trigger("xQc", "keyword")
    prometheus_client.Counter("host", "A counter of the host program.", registry=registry).inc()
    text = generate_latest(registry).decode()
    assert "host_created " in text
    assert [line for line in text.splitlines() if line.startswith("clipper_") and "_created" in line] == []


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128)


@given(
    gauges=st.dictionaries(NAMES, st.one_of(st.integers(0, 2**60), st.floats(0, allow_infinity=False)), max_size=5),
    triggers=st.lists(st.tuples(NAMES, NAMES), max_size=8),
)
def test_any_names_and_values_come_back_from_both_formats(
    gauges: dict[str, float], triggers: list[tuple[str, str]]
) -> None:
    store = SharedStats.create(clock=FakeClock(), trigger_types=())
    registry = CollectorRegistry()
    registry.register(ClipperCollector(store))
    for name, value in gauges.items():
        store.update_viewers(name, value)
    for name, kind in triggers:
        store.add_trigger(name, kind)
    wanted = {(row.streamer, kind): count for row in store.rows() for kind, count in row.triggers.items()}
    open_text = openmetrics.generate_latest(registry).decode()  # type: ignore[no-untyped-call]
    parsed = [
        list(text_string_to_metric_families(generate_latest(registry).decode())),
        list(openmetrics_parser.text_string_to_metric_families(open_text)),  # type: ignore[no-untyped-call]
    ]
    for families in parsed:
        all_samples = [sample for family in families for sample in family.samples]
        assert {
            sample.labels["streamer"]: sample.value for sample in all_samples if sample.name == "clipper_viewers"
        } == {name: float(value) for name, value in gauges.items()}
        assert {
            (sample.labels["streamer"], sample.labels["type"]): sample.value
            for sample in all_samples
            if sample.name == "clipper_triggers_total"
        } == wanted


class TestOtherWaysToServe:
    """prometheus_client's own servers and writers take the collector as they take any."""

    @pytest.fixture(autouse=True)
    def _fill(self, store: SharedStats) -> None:
        store.update_viewers("xQc", 45000)

    def test_start_http_server(self, registry: CollectorRegistry) -> None:
        server, thread = prometheus_client.start_http_server(0, "127.0.0.1", registry)
        try:
            text = requests.get(f"http://127.0.0.1:{server.server_port}/metrics", timeout=10).text
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
        assert 'clipper_viewers{streamer="xQc"} 45000.0\n' in text

    def test_wsgi(self, registry: CollectorRegistry) -> None:
        began: list[Any] = []
        body = prometheus_client.make_wsgi_app(registry)(
            {"REQUEST_METHOD": "GET", "PATH_INFO": "/metrics", "QUERY_STRING": "name[]=clipper_viewers"},
            lambda *args: began.append(args),
        )
        assert began[0][0] == "200 OK"
        assert samples(b"".join(body)) == 'clipper_viewers{streamer="xQc"} 45000.0\n'

    def test_textfile(self, registry: CollectorRegistry, tmp_path: Path) -> None:
        path = tmp_path / "clipper.prom"
        prometheus_client.write_to_textfile(str(path), registry)
        assert 'clipper_viewers{streamer="xQc"} 45000.0\n' in path.read_text()

    def test_asgi(self, registry: CollectorRegistry) -> None:
        options = ServeOptions(port=0)
        with Server(prometheus_client.make_asgi_app(registry), listen(options.listen), options) as server:
            text = requests.get(f"{server.url}/metrics", timeout=10).text
        assert 'clipper_viewers{streamer="xQc"} 45000.0\n' in text

    def test_pushgateway(self, registry: CollectorRegistry) -> None:
        pushed: list[bytes] = []

        def handler(url: str, method: str, timeout: float | None, headers: Any, data: bytes) -> Any:
            return lambda: pushed.append(data)

        prometheus_client.push_to_gateway("gateway:9091", "clipper", registry, handler=handler)
        assert b'clipper_viewers{streamer="xQc"} 45000.0\n' in pushed[0]


def test_collecting_holds_the_lock_only_to_copy(store: SharedStats) -> None:
    store.update_viewers("xQc", 1)
    families = ClipperCollector(store).collect()
    next(families)  # the copy is made; the rest is rendered while others write
    written = threading.Thread(target=lambda: store.update_viewers("xQc", 2), daemon=True)
    written.start()
    written.join(10)
    assert not written.is_alive()
    assert store.viewer_counts == {"xQc": 2}
