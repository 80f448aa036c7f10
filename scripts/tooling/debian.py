"""Debian packages unpacked into a folder of one's own: no root, no installation, no service that starts.

``apt-get`` works on a state of its own here, so that an ordinary user can refresh the package lists, and so that the
system's lists, cache and dpkg database stay as they are. Which mirrors, proxies and keys to use is the system's
business: its configuration is read as ever.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tooling.checkout import TOOLS, ToolingError, say
from tooling.commands import run

LISTS_STAY_FRESH: Final = 3600.0  # seconds
_STATE: Final = TOOLS / "apt"

# Read after the system's own configuration. Sandboxing is off because apt's own user cannot write into a checkout; the
# hooks are cleared because they clean up after, and announce, changes to the system.
_CONFIGURATION = """\
Dir::State "{state}";
Dir::State::lists "lists/";
Dir::Cache "{state}/cache";
APT::Sandbox::User "root";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Acquire::Languages "none";
Acquire::Retries "2";
APT::Update::Error-Mode "any";
"""


def available() -> bool:
    """Say whether this machine has what it takes: ``apt-get`` and ``dpkg``."""
    return shutil.which("apt-get") is not None and shutil.which("dpkg") is not None


def unpack(packages: Sequence[str], into: Path, *, dependencies: bool = False) -> None:
    """Download ``packages`` and unpack them together into the folder ``into``.

    With ``dependencies``, so are those packages that they depend on and this machine lacks. The folder appears whole or
    not at all. Raises ``ToolingError`` with apt's or dpkg's own last words.
    """
    if not available():
        raise ToolingError("there is no apt-get here to get Debian packages with")
    into.parent.mkdir(parents=True, exist_ok=True)
    configuration, complaint = _refreshed_lists()
    say(f"getting {packages[0]} from Debian, into {into}")
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=".unpacking-") as temporary:
        downloads, tree = Path(temporary, "downloads"), Path(temporary, "tree")
        downloads.mkdir()
        try:
            wanted = _missing(packages, configuration) if dependencies else packages
            run(["apt-get", "-c", str(configuration), "-q", "download", *wanted], cwd=downloads)
        except ToolingError as error:
            (_STATE / "refreshed").unlink(missing_ok=True)  # the next attempt begins with new lists
            raise ToolingError(f"{complaint}{error}") from error
        for archive in sorted(downloads.glob("*.deb")):
            run(["dpkg", "-x", str(archive), str(tree)], cwd=downloads)
        if into.exists():
            shutil.rmtree(into)
        tree.rename(into)


def _missing(packages: Sequence[str], configuration: Path) -> list[str]:
    """Return ``packages`` and what an installation of them would bring along."""
    # Only simulated, so it needs no root: the system's dpkg database is read, and stays as it is.
    command = ["apt-get", "-c", str(configuration), "-q", "--simulate", "--no-install-recommends", "install", *packages]
    installed = (line.split() for line in run(command, cwd=_STATE) if line.startswith("Inst "))
    return list(dict.fromkeys([*packages, *(words[1] for words in installed)]))


def _refreshed_lists() -> tuple[Path, str]:
    """Bring our own package lists up to date if they are old.

    Returns the file that makes apt-get use them, and what went wrong, which may not concern the packages wanted.
    """
    complaint = ""
    for folder in ("lists/partial", "cache/archives/partial"):
        (_STATE / folder).mkdir(parents=True, exist_ok=True)
    configuration, stamp = _STATE / "apt.conf", _STATE / "refreshed"
    configuration.write_text(_CONFIGURATION.format(state=_STATE), encoding="utf-8")
    if not stamp.exists() or time.time() - stamp.stat().st_mtime > LISTS_STAY_FRESH:
        say("reading Debian's package lists")
        try:
            run(["apt-get", "-c", str(configuration), "-q", "update"], cwd=_STATE)
            stamp.touch()
        except ToolingError as error:
            complaint = f"{error}\n"
    return configuration, complaint
