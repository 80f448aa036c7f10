"""Fixtures of the dashboards' tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dashboards.history import History, history
from tests.dashboards.live import Live, live
from tooling.node import GRAFANA, Installed


@pytest.fixture(scope="session")
def grafana_code() -> Installed:
    """Grafana's own code; without it the test is skipped, or fails where ``CI`` is set."""
    found = GRAFANA.find()
    if found is not None:
        return found
    message = "Grafana's code is not here; scripts/test gets it"
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


@pytest.fixture(scope="session", params=[6, pytest.param(24, marks=pytest.mark.heavy)], ids=["6 hours", "24 hours"])
def day(
    request: pytest.FixtureRequest, prometheus_program: Path, promtool: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[History]:
    """A simulated day, or a part of one, in a real Prometheus."""
    with history(prometheus_program, promtool, tmp_path_factory.mktemp("day"), request.param) as running:
        yield running


@pytest.fixture(scope="session")
def minute(prometheus_program: Path, promtool: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Some minutes of the demo's feed in a real Prometheus, up to now."""
    with live(prometheus_program, promtool, tmp_path_factory.mktemp("minute")) as running:
        yield running
