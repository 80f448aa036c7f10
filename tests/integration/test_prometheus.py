"""The test helper itself: a real Prometheus that scrapes itself and answers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import StartPrometheus
from tooling.checkout import ToolingError
from tooling.prometheus import running_prometheus, scrape_config
from tooling.promql import QueryError

pytestmark = pytest.mark.integration


def test_answers_and_is_gone_after_the_context(prometheus_program: Path, tmp_path: Path) -> None:
    with running_prometheus(prometheus_program, tmp_path, scrape_config("127.0.0.1:1")) as prometheus:
        down = prometheus.wait_for('up{job="clipper-exporter"}', lambda samples: len(samples) == 1)
        assert down[0].value == 0
        assert down[0].labels == {"job": "clipper-exporter", "instance": "127.0.0.1:1"}
        assert [sample.value for sample in prometheus.query("scalar(vector(42))")] == [42]
        assert prometheus.values('label_replace(vector(3), "streamer", "xQc", "", "")', "streamer") == {"xQc": 3}
        pid = prometheus.process.pid
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_range_points_are_one_step_apart(start_prometheus: StartPrometheus) -> None:
    prometheus = start_prometheus(scrape_config("127.0.0.1:1"))
    [series] = prometheus.query_range("vector(1)", start=1000.0, end=1001.0, step=0.5)
    assert series.points == [(1000.0, 1.0), (1000.5, 1.0), (1001.0, 1.0)]


def test_waits_until_scraped(start_prometheus: StartPrometheus) -> None:
    first = start_prometheus(scrape_config("127.0.0.1:1"))
    second = start_prometheus(scrape_config(first.url.removeprefix("http://"), job="first"))
    second.wait_until_scraped("first")
    with pytest.raises(TimeoutError, match=r'up\{job="clipper-exporter"\}: not as expected within 0.1 s'):
        first.wait_until_scraped(deadline=0.1)


def test_a_bad_query_says_which(start_prometheus: StartPrometheus) -> None:
    prometheus = start_prometheus(scrape_config("127.0.0.1:1"))
    with pytest.raises(QueryError, match=r"rate\(up\): bad_data: .*range vector"):
        prometheus.query("rate(up)")


def test_a_bad_configuration_is_an_error_with_the_last_lines(prometheus_program: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(ToolingError, match=r"(?s)prometheus ended with status \d.*field nonsense not found"),
        running_prometheus(prometheus_program, tmp_path, "nonsense: 1\n"),
    ):
        pytest.fail("a Prometheus runs on nonsense")
