"""The bounds of the dependencies hold: what is installed, by whom, and beside what."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tooling.checkout import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
OLDEST = "0.20.0"  # of prometheus-client

CLIPPER = """\
import exporter
from exporter import SettingsError, SharedStats, shared_stats


def report(stats: SharedStats, viewers: int) -> None:
    stats.update_viewers("xQc", viewers)
    stats.add_trigger("xQc", "keyword", {"word": "clip it"})


try:
    with exporter.serve(0, storage=None, limits=exporter.HttpLimits(connections=100, subscribers=10)) as server:
        report(shared_stats, 45_000)
        print(server.url, shared_stats.get_all_stats()["viewer_counts"])
except SettingsError as problem:
    print(problem.mistakes)
"""


def run(*command: str | Path, cwd: Path = ROOT, **environ: str) -> str:
    done = subprocess.run(
        [str(each) for each in command],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"} | environ,
        cwd=cwd,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def requirements(*texts: str) -> dict[str, Requirement]:
    return {requirement.name: requirement for requirement in map(Requirement, texts)}


def test_the_image_holds_the_base_and_socketio() -> None:
    text = (ROOT / "docker" / "requirements.txt").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([\w-]+)==(\S+)", text, re.MULTILINE))
    asked = requirements(*PROJECT["dependencies"], *EXTRAS["socketio"])
    assert asked.keys() <= pins.keys()
    for name, requirement in asked.items():
        assert requirement.specifier.contains(pins[name]), name


def test_the_bounds_are_wide_and_tight_where_they_should_be() -> None:
    base = requirements(*PROJECT["dependencies"])
    for version in (OLDEST, "0.21.1", "0.26.0", "0.99.0"):
        assert base["prometheus-client"].specifier.contains(version)
    assert not base["prometheus-client"].specifier.contains("0.19.0")
    assert base["uvicorn"].specifier.contains("0.54.9")
    assert not base["uvicorn"].specifier.contains("0.55.0")
    assert not base.keys() & requirements(*EXTRAS["socketio"], *EXTRAS["dashboards"]).keys()
    assert requirements(*EXTRAS["dev"])["clipper-exporter"].extras >= {"socketio", "dashboards"}


@pytest.mark.heavy
def test_scrapes_are_right_with_the_oldest_prometheus_client(tmp_path: Path) -> None:
    run(
        sys.executable,
        *("-m", "pip", "install", "-q", "--no-deps", "--target", tmp_path, f"prometheus-client=={OLDEST}"),
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    code = "import importlib.metadata; print(importlib.metadata.version('prometheus_client'))"
    assert run(sys.executable, "-c", code, PYTHONPATH=path).strip() == OLDEST
    tests = ("tests/scrape", "tests/test_own_metrics.py", "tests/web/test_app.py", "tests/web/test_server.py")
    assert " passed" in run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, PYTHONPATH=path)


@pytest.mark.heavy
def test_a_clipper_has_the_wheel_beside_an_older_prometheus_client(tmp_path: Path) -> None:
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("clipper_exporter-*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    run(python, "-m", "pip", "install", "-q", wheel, "prometheus-client==0.21.1", "uvicorn~=0.54.0")
    assert "No broken requirements" in run(python, "-m", "pip", "check")
    missing = "import importlib.util as u; print([n for n in ('socketio', 'engineio', 'wsproto') if u.find_spec(n)])"
    assert run(python, "-c", missing).strip() == "[]"
    clipper = tmp_path / "clipper.py"
    clipper.write_text(CLIPPER, encoding="utf-8")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+ \{'xQc': 45000\}\n", run(python, "-W", "error", "-I", clipper))
    # Away from the sources, which mypy would check instead.
    checked = run(
        *(sys.executable, "-m", "mypy", "--strict", "--config-file=", "--python-executable", python, clipper),
        cwd=tmp_path,
    )
    assert checked == "Success: no issues found in 1 source file\n"
