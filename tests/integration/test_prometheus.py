"""The test helper itself: a real Prometheus that scrapes itself and answers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from exporter import SharedStats
from exporter.web.server import serve
from tests.conftest import SharedPrometheus
from tests.targets import Target
from tooling.checkout import ToolingError
from tooling.prometheus import running_prometheus, scrape_config
from tooling.promql import QueryError

pytestmark = pytest.mark.integration


def test_it_is_gone_after_the_context(prometheus_program: Path, tmp_path: Path) -> None:
    with running_prometheus(prometheus_program, tmp_path, scrape_config("127.0.0.1:1")) as prometheus:
        pid = prometheus.process.pid
        os.kill(pid, 0)
        [job] = prometheus.get("status/config")["yaml"].split("- job_name: ")[1:]
        assert job.startswith("clipper-exporter\n")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_answers_have_labels_and_values(shared_prometheus: SharedPrometheus, target: Target) -> None:
    prometheus = shared_prometheus.prometheus
    [down] = prometheus.wait_for(f'up{{job="{target.job}"}}', bool)
    assert down.value == 0
    assert down.labels == {"job": target.job, "instance": target.address}
    assert [sample.value for sample in prometheus.query("scalar(vector(42))")] == [42]
    assert prometheus.values('label_replace(vector(3), "streamer", "xQc", "", "")', "streamer") == {"xQc": 3}


def test_range_points_are_one_step_apart(shared_prometheus: SharedPrometheus) -> None:
    [series] = shared_prometheus.prometheus.query_range("vector(1)", start=1000.0, end=1001.0, step=0.5)
    assert series.points == [(1000.0, 1.0), (1000.5, 1.0), (1001.0, 1.0)]


def test_waits_until_scraped(shared_prometheus: SharedPrometheus, target: Target) -> None:
    prometheus = shared_prometheus.prometheus
    with pytest.raises(TimeoutError, match=rf'up\{{job="{target.job}"\}}: not as expected within 0.1 s'):
        prometheus.wait_until_scraped(target.job, deadline=0.1)
    with serve(target.port, stats=SharedStats.create(), registry=CollectorRegistry()):
        prometheus.wait_until_scraped(target.job)


def test_a_bad_query_says_which(shared_prometheus: SharedPrometheus) -> None:
    with pytest.raises(QueryError, match=r"rate\(up\): bad_data: .*range vector"):
        shared_prometheus.prometheus.query("rate(up)")


def test_a_bad_configuration_is_an_error_with_the_last_lines(prometheus_program: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(ToolingError, match=r"(?s)prometheus ended with status \d.*field nonsense not found"),
        running_prometheus(prometheus_program, tmp_path, "nonsense: 1\n"),
    ):
        pytest.fail("a Prometheus runs on nonsense")
