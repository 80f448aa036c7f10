"""How the virtual environment is made and renewed, with commands that are only noted."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tooling import debian, environment
from tooling.checkout import ROOT, ToolingError


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The commands that were run, while this Python passes for that of the environment."""
    noted: list[list[str]] = []
    monkeypatch.setattr(environment, "run", noted.append)
    monkeypatch.setattr(environment, "VENV", tmp_path)
    monkeypatch.setattr(environment, "TOOLS", tmp_path / "tools")
    monkeypatch.setattr(environment, "_PYTHON", "python")
    monkeypatch.setattr(environment, "_version", lambda: b"3.11.2")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    return noted


def test_each_extra_is_installed_once(commands: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    for extra in ("", "demo", "demo", "", "dev", "demo"):
        environment.enter(extra)
    assert [command[-1].removeprefix(str(ROOT)) for command in commands] == ["", "[demo]", "[dev]"]
    monkeypatch.setattr(environment, "_version", lambda: b"3.12.1")
    environment.enter("demo")
    assert len(commands) == 4, "another Python has nothing installed"


def test_a_failed_installation_is_tried_again(commands: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(command: Sequence[str]) -> None:
        raise ToolingError(f"{command} failed")

    with monkeypatch.context() as context:
        context.setattr(environment, "run", fail)
        with pytest.raises(ToolingError):
            environment.enter("demo")
    environment.enter("demo")
    assert len(commands) == 1


def test_without_ensurepip_pip_comes_from_debian(
    commands: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wheel = tmp_path / "tools/debian/python3-pip-whl/usr/share/python-wheels/pip-23.0.1-py3-none-any.whl"

    def unpack(packages: Sequence[str], into: Path) -> None:
        assert packages == ["python3-pip-whl"]
        wheel.parent.mkdir(parents=True)
        wheel.touch()
        assert wheel.is_relative_to(into)

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(debian, "unpack", unpack)
    assert environment._make() == b"3.11.2"
    assert commands == [
        [sys.executable, "-m", "venv", "--without-pip", str(tmp_path)],
        ["python", f"{wheel}/pip", "install", "pip"],
    ]
