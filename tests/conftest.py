"""Fixtures that need a program from outside the package: a real server, or one of its tools."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from tests import distribution
from tests.targets import Target, Targets
from tooling import servers
from tooling.node import SOCKETIO_CLIENT, Installed
from tooling.prometheus import Prometheus, running_prometheus

# How long an example takes is up to the machine. ``short`` is otherwise hypothesis's own profile, for CI or not.
settings.register_profile("short", deadline=None)
settings.register_profile("long", max_examples=20_000, deadline=None)
settings.load_profile("short")

StartPrometheus = Callable[[str], Prometheus]
INTERVAL = 0.2  # seconds between the scrapes of a target
SLOW_INTERVAL = 2.0  # the same of one that has much to say


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that wait for other programs, so that those that only compute fill the time."""
    items.sort(key=lambda item: item.get_closest_marker("integration") is None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Where several processes run the tests, let ``distribution`` say which tests belong together."""
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = distribution.group
    return scheduler


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew from what is rendered")


def required_program(name: str) -> Path:
    """Return where the program ``name`` is; without it the test is skipped, or fails where ``CI`` is set."""
    path = servers.find(name)
    if path is not None:
        return path
    message = f"{name} is not here; scripts/test gets it, or {servers.how_to_get(name)}"
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


@pytest.fixture(scope="session")
def prometheus_program() -> Path:
    return required_program("prometheus")


@pytest.fixture(scope="session")
def promtool() -> Path:
    return required_program("promtool")


@pytest.fixture(scope="session")
def alertmanager_program() -> Path:
    return required_program("prometheus-alertmanager")


@pytest.fixture(scope="session")
def amtool() -> Path:
    return required_program("amtool")


@pytest.fixture(scope="session")
def socketio_client() -> Installed:
    """The client of Socket.IO and the Node.js that runs it; without them the test is skipped, or fails in CI."""
    found = SOCKETIO_CLIENT.find()
    if found is not None:
        return found
    message = "the client of Socket.IO is not here; scripts/test gets it"
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


@pytest.fixture
def start_prometheus(prometheus_program: Path, tmp_path: Path) -> Iterator[StartPrometheus]:
    """Start a Prometheus on the text of a configuration, as often as a test likes; all end with the test."""
    numbers = count(1)
    with ExitStack() as running:
        yield lambda configuration: running.enter_context(
            running_prometheus(prometheus_program, tmp_path / f"prometheus-{next(numbers)}", configuration)
        )


class SharedPrometheus(NamedTuple):
    """The one Prometheus of a run, and what it scrapes."""

    prometheus: Prometheus
    targets: Targets
    slow_targets: Targets


@pytest.fixture(scope="session")
def shared_prometheus(prometheus_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedPrometheus]:
    """For tests that need no configuration of their own; list their files in ``distribution``."""
    with Targets("clipper", 9) as targets, Targets("clipper-slow", 2) as slow_targets:
        jobs = [
            {
                "job_name": target.job,
                "scrape_interval": f"{interval * 1000:.0f}ms",
                "scrape_timeout": f"{interval * 1000:.0f}ms",
                "static_configs": [{"targets": [target.address]}],
            }
            for some, interval in ((targets, INTERVAL), (slow_targets, SLOW_INTERVAL))
            for target in some.all
        ]
        folder = tmp_path_factory.mktemp("prometheus")
        with running_prometheus(prometheus_program, folder, yaml.safe_dump({"scrape_configs": jobs})) as running:
            yield SharedPrometheus(running, targets, slow_targets)


@pytest.fixture
def target(shared_prometheus: SharedPrometheus) -> Iterator[Target]:
    """A target of ``shared_prometheus``; after the test, nothing is scraped there any more."""
    yield from _lent(shared_prometheus.prometheus, shared_prometheus.targets)


@pytest.fixture
def slow_target(shared_prometheus: SharedPrometheus) -> Iterator[Target]:
    """The same for an exposition that takes longer than a fifth of a second."""
    yield from _lent(shared_prometheus.prometheus, shared_prometheus.slow_targets)


def _lent(prometheus: Prometheus, targets: Targets) -> Iterator[Target]:
    target = targets.take()
    yield target
    prometheus.wait_for(f'up{{job="{target.job}"}}', lambda samples: all(each.value == 0 for each in samples))
