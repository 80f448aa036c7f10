"""The checkout's virtual environment, ``.venv``: made when missing, renewed when outdated.

Needs only the standard library, without ``ensurepip``, which Debian's ``python3`` lacks.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tooling import debian
from tooling.checkout import ROOT, TOOLS, VENV, ToolingError, run, say

_PYTHON: Final = str(VENV / "bin/python")


def enter(extra: str = "") -> None:
    """Make ``.venv`` hold the project, editable, with ``extra``; go on in its Python.

    Returns only in that Python: elsewhere the running script starts again from its beginning. Raises ``ToolingError``
    that says what failed and what to type instead.
    """
    if os.name == "nt":
        raise ToolingError("the scripts run on Linux and macOS; README.md says what to type on Windows")
    version = _version() or _make()
    wanted = hashlib.sha256(b"\0".join([(ROOT / "pyproject.toml").read_bytes(), bytes(ROOT), version])).hexdigest()
    # One stamp for each extra, as what one needs stays installed when another is renewed; any will do for none.
    if wanted not in (stamp.read_text(encoding="utf-8") for stamp in VENV.glob(f"installed-{extra or '*'}")):
        what = f"{ROOT}[{extra}]" if extra else str(ROOT)
        say(f"installing clipper-exporter{what.removeprefix(str(ROOT))} and what it needs; this takes a minute")
        run([_PYTHON, "-m", "pip", "install", "--editable", what])
        (VENV / f"installed-{extra or 'base'}").write_text(wanted, encoding="utf-8")
    if Path(sys.prefix).resolve() != VENV.resolve():
        os.execv(_PYTHON, [_PYTHON, *sys.argv])  # noqa: S606 (a shell would only be in the way)


def _make() -> bytes:
    """Make the environment, with pip; return the version of its Python."""
    say(f"making a virtual environment in {VENV}")
    try:
        if importlib.util.find_spec("ensurepip") is not None:
            run([sys.executable, "-m", "venv", str(VENV)])
        else:
            tree = TOOLS / "debian/python3-pip-whl"
            debian.unpack([tree.name], into=tree)
            run([sys.executable, "-m", "venv", "--without-pip", str(VENV)])
            run([_PYTHON, f"{next(tree.glob('usr/share/python-wheels/pip-*.whl'))}/pip", "install", "pip"])
    except ToolingError as error:
        advice = f"If {VENV} is an old one, remove it. On Debian: apt install python3-venv"
        raise ToolingError(f"{error}\n{advice}") from error
    return _version()


def _version() -> bytes:
    """Return the version of the environment's Python; nothing if there is none that runs and has pip."""
    probe = [_PYTHON, "-c", "import pip, sys; print(sys.version)"]
    try:
        return subprocess.run(probe, check=False, capture_output=True).stdout
    except OSError:
        return b""
