"""Programs that the benchmarks' own tests run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tooling import servers


@pytest.fixture(scope="session")
def prometheus() -> Path:
    return _required("prometheus")


@pytest.fixture(scope="session")
def promtool() -> Path:
    return _required("promtool")


def _required(name: str) -> Path:
    """Return the path of the program ``name``; without it the test is skipped, or fails where ``CI`` is set."""
    path = servers.find(name)
    if path is not None:
        return path
    message = f"{name} is missing; scripts/test downloads it, or {servers.how_to_get(name)}"
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
