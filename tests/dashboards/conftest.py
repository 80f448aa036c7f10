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


@pytest.fixture(scope="session")
def day(prometheus_program: Path, promtool: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """A simulated day in a real Prometheus."""
    with history(prometheus_program, promtool, tmp_path_factory.mktemp("day")) as running:
        yield running


@pytest.fixture(scope="session")
def minute(prometheus_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A minute of the demo's feed in a real Prometheus."""
    with live(prometheus_program, tmp_path_factory.mktemp("minute")) as running:
        yield running
