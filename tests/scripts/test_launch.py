"""The scripts as a shell sees them: exit status, messages, and no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tooling.checkout import ROOT

SCRIPTS = ("demo", "prometheus", "test", "check")


def shell(*command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_needs_no_environment_and_no_particular_folder(name: str, tmp_path: Path) -> None:
    # Isolated from site-packages, as a Python that has nothing installed is.
    helped = shell(sys.executable, "-I", "-S", "-c", _as_main(name), "--help", cwd=tmp_path)
    assert helped.returncode == 0, helped.stderr
    assert helped.stdout.startswith(f"usage: {name} ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("demo", "--seconds", "soon"), "argument --seconds: 'soon' is not a number of seconds above 0"),
        (("demo", "--seconds", "0"), "argument --seconds: '0' is not a number of seconds above 0"),
        (("demo", "--seconds", "inf"), "argument --seconds: 'inf' is not a number of seconds above 0"),
        (("prometheus", "--exporter", "localhost"), "argument --exporter: 'localhost' is not HOST:PORT"),
        (("prometheus", "--alertmanager", "a:0"), "argument --alertmanager: 'a:0' is not HOST:PORT"),
        (("check", "everything"), "unrecognized arguments: everything"),
    ],
)
def test_a_wrong_command_line_is_status_2(arguments: tuple[str, ...], message: str) -> None:
    refused = shell(sys.executable, str(ROOT / "scripts" / arguments[0]), *arguments[1:])
    assert refused.returncode == 2
    assert refused.stderr.endswith(f"{arguments[0]}: error: {message}\n")


@pytest.mark.parametrize(
    ("failure", "status", "message"),
    [
        ("raise ToolingError('no luck')", 1, "-c: no luck\n"),
        ("raise KeyboardInterrupt", 130, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 130, ""),
        ("raise BrokenPipeError", 1, ""),
    ],
)
def test_how_a_script_ends(failure: str, status: int, message: str) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'scripts')!r})\n"
        f"from tooling.checkout import ToolingError; from tooling.launch import launch\n"
        f"def main():\n    {failure}\nlaunch(main)"
    )
    ended = shell(sys.executable, "-c", code)
    assert (ended.returncode, ended.stderr) == (status, message)


def test_an_old_python_is_turned_away_in_one_line() -> None:
    code = "import sys; sys.version_info = (3, 10, 4, 'final', 0); sys.path.insert(0, 'scripts'); import tooling"
    refused = shell(sys.executable, "-c", code, cwd=ROOT)
    assert refused.returncode == 1
    assert refused.stderr == f"clipper-exporter needs Python 3.11 or newer; {sys.executable} is 3.10\n"


def _as_main(name: str) -> str:
    scripts = str(ROOT / "scripts")
    return f"import runpy, sys; sys.path.insert(0, {scripts!r}); runpy.run_path({f'{scripts}/{name}'!r})"
