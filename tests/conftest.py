"""Fixtures that need a program from outside the package: a real server, or one of its tools."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings

from tooling import servers
from tooling.node import SOCKETIO_CLIENT, Installed
from tooling.prometheus import Prometheus, running_prometheus

settings.register_profile("long", max_examples=20_000, deadline=None)

StartPrometheus = Callable[[str], Prometheus]


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
