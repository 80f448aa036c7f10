"""The exporter's own numbers are prometheus_client's, and every one that the table promises is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import requests
import trustme
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.parser import text_string_to_metric_families

from exporter import SharedStats
from exporter.metrics import (
    BUILD_INFO,
    COLLECTOR_FAILURES,
    CONNECTIONS,
    HTTP_REFUSED,
    OWN_FAMILIES,
    STORAGE_COMMITS,
    VIEWERS,
    Family,
)
from exporter.own_metrics import OwnMetrics
from exporter.web import server as server_module
from exporter.web.server import serve
from tests.certificates import write_pair
from tests.own import own_value

NOT_THERE_FROM_THE_START = {COLLECTOR_FAILURES}  # which names the collector that failed


@pytest.fixture
def own() -> OwnMetrics:
    return OwnMetrics()


def samples(own: OwnMetrics, family: Family) -> list[tuple[str, dict[str, str], float]]:
    return [(sample.name, sample.labels, sample.value) for metric in own.collect(family) for sample in metric.samples]


def test_they_are_prometheus_clients_and_have_no_creation_time(own: OwnMetrics) -> None:
    refused = own.counter(HTTP_REFUSED, ["idle", "malformed"])
    refused.labels("idle").inc(2)
    commits = own.counter(STORAGE_COMMITS)
    assert isinstance(refused, Counter)
    assert isinstance(commits, Counter)
    assert samples(own, HTTP_REFUSED) == [
        (HTTP_REFUSED.name, {"reason": "idle"}, 2.0),
        (HTTP_REFUSED.name, {"reason": "malformed"}, 0.0),
    ]
    assert samples(own, STORAGE_COMMITS) == [(STORAGE_COMMITS.name, {}, 0.0)]
    assert {sample.name for metric in own.registry.collect() for sample in metric.samples} == {
        HTTP_REFUSED.name,
        STORAGE_COMMITS.name,
    }


def test_other_counters_keep_their_creation_time(own: OwnMetrics) -> None:
    own.counter(STORAGE_COMMITS).inc()
    registry = CollectorRegistry()
    Counter("host", "A counter of the host program.", registry=registry)
    assert registry.get_sample_value("host_created") is not None


def test_a_gauge_has_no_sample_until_it_is_set(own: OwnMetrics) -> None:
    connections = own.gauge(CONNECTIONS)
    assert isinstance(connections, Gauge)
    assert samples(own, CONNECTIONS) == []
    connections.set(0)
    assert samples(own, CONNECTIONS) == [(CONNECTIONS.name, {}, 0.0)]
    connections.set_function(lambda: 7)
    assert own_value(own, CONNECTIONS) == 7


def test_a_family_that_was_not_made_has_no_samples(own: OwnMetrics) -> None:
    assert samples(own, CONNECTIONS) == []


@pytest.mark.parametrize(
    ("make", "family", "mistake"),
    [
        ("counter", CONNECTIONS, "clipper_exporter_http_connections: not a counter of the exporter's own"),
        ("gauge", STORAGE_COMMITS, "clipper_exporter_storage_commits_total: not a gauge of the exporter's own"),
        ("gauge", VIEWERS, "clipper_viewers: not a gauge of the exporter's own"),
        ("gauge", Family("clipper_typo", "gauge", "Not in the table."), "clipper_typo: not a gauge of the exporter's"),
    ],
)
def test_what_the_table_does_not_have_cannot_be_made(own: OwnMetrics, make: str, family: Family, mistake: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(mistake)}"):
        getattr(own, make)(family)


def test_a_family_is_made_once(own: OwnMetrics) -> None:
    own.counter(STORAGE_COMMITS)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        own.counter(STORAGE_COMMITS)


def test_a_server_with_everything_shows_every_own_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = OwnMetrics()
    monkeypatch.setattr(server_module, "OwnMetrics", lambda: own)
    authority = trustme.CA()
    write_pair(tmp_path, authority)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    web = tmp_path / "web.yml"
    web.write_text("tls_server_config: {cert_file: server.pem, key_file: server-key.pem}\n")
    store = SharedStats.create()
    with serve(0, stats=store, registry=CollectorRegistry(), web_config=web, storage=tmp_path / "storage") as server:
        for _ in range(2):  # the second tells of the first
            answer = requests.get(server.url + "/metrics", verify=str(tmp_path / "ca.pem"), timeout=20)
    kept_by_the_store = {BUILD_INFO, *store.own_numbers()}
    assert {*kept_by_the_store, *own.made} == set(OWN_FAMILIES)
    assert not kept_by_the_store & own.made
    shown = {sample.name for family in text_string_to_metric_families(answer.text) for sample in family.samples}
    assert {family for family in OWN_FAMILIES if family.name not in shown} == NOT_THERE_FROM_THE_START
