"""Grafana's own code for the tests of the dashboards.

``@grafana/data`` and what it needs are installed as the lock file says; ``@grafana/prometheus`` is fetched alone, into
the folder ``package``, because its dependencies are editors that only a browser can show.
"""

from __future__ import annotations

import base64
import hashlib
import tarfile
from pathlib import Path
from typing import Final

from tooling.checkout import ROOT, ToolingError
from tooling.commands import run
from tooling.node import QUIET, Packages

LOCKED: Final = ROOT / "tests/dashboards/grafana"
DATA_SOURCE: Final = "@grafana/prometheus@13.1.4"
_INTEGRITY: Final = "sha512-v+wO3aBv37iLF5HGQJ4nTbMwbdtbj7A/gOTSkTr9ct23b4XNj2lOfpTOVrf36KrtURDEQCZKUgdkjl4Cynx94w=="


def _data_source(folder: Path, npm: list[str]) -> None:
    run([*npm, "pack", DATA_SOURCE, *QUIET], cwd=folder)
    [archive] = folder.glob("*.tgz")
    _verify(archive)
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    archive.unlink()


def _verify(archive: Path) -> None:
    digest = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != _INTEGRITY:
        raise ToolingError(f"{DATA_SOURCE}: expected {_INTEGRITY}, got {digest}")


CODE: Final = Packages("grafana", LOCKED, ("--legacy-peer-deps",), _data_source, mark=DATA_SOURCE)
