"""The checkout's own virtual environment, ``.venv``, with the project in it: made when missing, renewed when outdated.

Only the standard library is needed to get there, and not all of it: Debian's ``python3`` comes without ``ensurepip``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tooling import debian
from tooling.checkout import ROOT, TOOLS, VENV, ToolingError, say
from tooling.commands import run

_PYTHON: Final = VENV / "bin/python"
_STAMP: Final = VENV / "clipper-exporter.json"
_PIP_PACKAGE: Final = "python3-pip-whl"
_PROBE: Final = "import sys; print('%d.%d' % sys.version_info[:2])"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What was installed: a fingerprint of the ``project``, the version of its ``python``, and the ``extras``."""

    project: str
    python: str
    extras: list[str]


def enter(*extras: str) -> None:
    """Make sure of the environment with the project's ``extras``, and go on in its Python.

    Returns only in that Python: elsewhere the running script is started again from its beginning. Raises
    ``ToolingError``.
    """
    ensure(extras)
    if Path(sys.prefix).resolve() != VENV.resolve():
        os.execv(_PYTHON, [str(_PYTHON), *sys.argv])  # noqa: S606 (a shell would only be in the way)


def ensure(extras: Iterable[str]) -> None:
    """Make ``.venv`` hold the project, editable, with ``extras`` and those it already has; do nothing when it does.

    Raises ``ToolingError`` that says what failed and what to type instead.
    """
    if os.name == "nt":
        raise ToolingError("the scripts run on Linux and macOS; README.md says what to type on Windows")
    version = _python_version()
    if version is None:
        if VENV.exists():
            raise ToolingError(f"{VENV} is there, but its Python does not run. Remove it and try again: rm -r {VENV}")
        say(f"making a virtual environment in {VENV}")
        run([sys.executable, "-m", "venv", "--without-pip", str(VENV)], cwd=ROOT)
        version = _python_version()
    installed = _read_stamp()
    wanted = Stamp(_fingerprint(), version or "", sorted({*extras, *installed.extras}))
    if installed != wanted:
        _install(wanted.extras)
        _STAMP.write_text(json.dumps(asdict(wanted)), encoding="utf-8")


def _install(extras: list[str]) -> None:
    what = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
    say(f"installing clipper-exporter{what.removeprefix(str(ROOT))} and what it needs")
    try:
        _ensure_pip()
        run([str(_PYTHON), "-m", "pip", "install", "--editable", what], cwd=ROOT, echo=("Collecting", "Installing c"))
    except ToolingError as error:
        by_hand = f"python3 -m venv {VENV} && {_PYTHON} -m pip install --editable '{what}'"
        raise ToolingError(f"{error}\nThe project could not be installed. By hand, that is: {by_hand}") from error


def _ensure_pip() -> None:
    if subprocess.run([_PYTHON, "-m", "pip", "--version"], check=False, capture_output=True).returncode == 0:
        return
    if importlib.util.find_spec("ensurepip") is not None:
        run([str(_PYTHON), "-m", "ensurepip", "--default-pip"], cwd=ROOT)
        return
    tree = TOOLS / "debian" / _PIP_PACKAGE
    try:
        debian.unpack([_PIP_PACKAGE], into=tree)
    except ToolingError as error:
        raise ToolingError(f"{error}\nThis Python has no ensurepip. On Debian: apt install python3-venv") from error
    [wheel] = tree.glob("usr/share/python-wheels/pip-*.whl")
    run([str(_PYTHON), f"{wheel}/pip", "install", "pip"], cwd=ROOT)


def _python_version() -> str | None:
    """Return the version of the environment's Python, or ``None`` if there is none that runs."""
    try:
        return subprocess.run([_PYTHON, "-c", _PROBE], check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _fingerprint() -> str:
    """Return what changes when an installation is outdated: the project's metadata, or where the checkout is."""
    return hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + bytes(ROOT)).hexdigest()


def _read_stamp() -> Stamp:
    try:
        return Stamp(**json.loads(_STAMP.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return Stamp("", "", [])  # a stamp that is missing or half written stands for no installation
