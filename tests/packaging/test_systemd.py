"""The wheel, and the systemd unit: what it allows is little, and enough."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from exporter.settings.settings import Settings, options
from tooling.checkout import ROOT
from tooling.processes import Process, Server, free_port

UNIT = Path(__file__).parents[2] / "packaging" / "systemd" / "clipper-exporter.service"
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1  # linux/prctl.h


def unit_settings() -> list[tuple[str, str]]:
    lines = [line for line in UNIT.read_text(encoding="utf-8").splitlines() if "=" in line and not line.startswith("#")]
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]


@pytest.fixture
def analyze() -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not here")
    return program


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with a program that exists on every machine."""
    program = dict(unit_settings())["ExecStart"].split()[0]
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text(encoding="utf-8").replace(f"={program}", "=/bin/sh"), encoding="utf-8")
    return path


def test_systemd_understands_it(analyze: str, unit: Path) -> None:
    done = subprocess.run([analyze, "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_finds_little_exposed(analyze: str, unit: Path) -> None:
    command = [analyze, "security", "--offline=yes", "--threshold=15", str(unit)]  # tenths, out of 10
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_its_variables_are_the_exporters() -> None:
    pairs = [pair for name, value in unit_settings() if name == "Environment" for pair in value.split()]
    environment = dict(pair.split("=", 1) for pair in pairs if pair.startswith("CLIPPER_EXPORTER_"))
    assert environment.keys() <= {option.variable for option in options().values()}
    Settings.read({}, environment)


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")
def test_the_exporter_runs_where_no_memory_becomes_executable(tmp_path: Path) -> None:
    """What MemoryDenyWriteExecute= asks of a program, with the kernel's own switch for it."""
    if ctypes.CDLL(None).prctl(PR_SET_MDWE + 1, 0, 0, 0, 0) < 0:  # PR_GET_MDWE
        pytest.skip("this kernel has no such switch")
    port = free_port()
    code = (
        "import ctypes, os, sys;"
        f"assert ctypes.CDLL(None).prctl({PR_SET_MDWE}, {PR_MDWE_REFUSE_EXEC_GAIN}, 0, 0, 0) == 0;"
        "os.execv(sys.executable, [sys.executable, '-m', 'exporter', 'demo', *sys.argv[1:]])"
    )
    command = [sys.executable, "-c", code, f"--web.listen-address=127.0.0.1:{port}"]
    with Process(Server("the exporter", command, f"http://127.0.0.1:{port}/-/ready"), tmp_path / "log") as process:
        process.wait_until_ready()


def test_the_wheel_says_that_it_is_typed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        [metadata] = (archive.read(name).decode() for name in names if name.endswith("/METADATA"))
    assert "Classifier: Typing :: Typed\n" in metadata
    assert "exporter/py.typed" in names, "without it, type checkers ignore the annotations"


def test_what_the_threat_model_names_is_there() -> None:
    text = (UNIT.parents[2] / "SECURITY.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:tests|docker|scripts)/[\w./-]+)", text) + re.findall(r"\]\(([\w./-]+)\)", text))
    assert len(named) >= 12
    assert {name for name in named if not (UNIT.parents[2] / name).exists()} == set()
