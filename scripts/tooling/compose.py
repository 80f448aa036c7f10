"""Debian's docker-compose, which reads and checks a compose file without a Docker engine: found, or fetched."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tooling import debian
from tooling.checkout import TOOLS

_TREE: Final = TOOLS / "debian/docker-compose"
_PACKAGES: Final = (
    "docker-compose",
    "python3-attr",
    "python3-certifi",
    "python3-chardet",
    "python3-charset-normalizer",
    "python3-distro",
    "python3-distutils",
    "python3-docker",
    "python3-dockerpty",
    "python3-docopt",
    "python3-dotenv",
    "python3-idna",
    "python3-jsonschema",
    "python3-lib2to3",
    "python3-packaging",
    "python3-pkg-resources",
    "python3-pyrsistent",
    "python3-requests",
    "python3-six",
    "python3-texttable",
    "python3-urllib3",
    "python3-websocket",
    "python3-yaml",
)


@dataclass(frozen=True, slots=True)
class Compose:
    """How docker-compose is started: its ``command``, and what its ``environment`` needs beside one's own."""

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def find() -> Compose | None:
    """Return docker-compose of ``.tools/`` or of ``PATH``, or ``None``."""
    program = _TREE / "usr/bin/docker-compose"
    if program.is_file():
        paths = [str(_TREE / "usr/lib/python3/dist-packages"), str(_TREE / "usr/lib/python3.11")]
        return Compose([sys.executable, "-W", "ignore", str(program)], {"PYTHONPATH": ":".join(paths)})
    installed = shutil.which("docker-compose")
    return Compose([installed]) if installed else None


def fetch() -> Compose:
    """Return docker-compose; get it from Debian into ``.tools/`` if there is none yet. Raises ``ToolingError``."""
    found = find()
    if found is not None:
        return found
    debian.unpack(_PACKAGES, into=_TREE)
    fetched = find()
    assert fetched is not None  # noqa: S101 - it has just been unpacked
    return fetched
