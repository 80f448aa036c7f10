"""Debian packages unpacked into a folder: no root, no installation, no service that starts.

``apt-get`` keeps its state in ``.tools/apt`` here, so that any user can refresh the package lists and the system's own
lists, cache and dpkg database stay as they are. Mirrors, proxies and keys are the system's: its configuration is read.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tooling.checkout import TOOLS, ToolingError, run, say

_STATE: Final = TOOLS / "apt"

# Read after the system's configuration. Sandboxing is off because apt's own user cannot write into a checkout, the
# hooks because they clean up after changes to the system.
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


def unpack(packages: Sequence[str], into: Path, *, dependencies: bool = False) -> None:
    """Download ``packages`` and unpack them together into the folder ``into``, which appears whole or not at all.

    ``dependencies`` adds the packages that they depend on and this machine lacks. Raises ``ToolingError`` with the last
    lines of apt or dpkg.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise ToolingError("there is no apt-get here to get Debian packages with")
    complaint = _update()
    say(f"getting {packages[0]} from Debian, into {into}")
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=".unpacking-") as temporary:
        downloads, tree = Path(temporary, "downloads"), Path(temporary, "tree")
        downloads.mkdir()
        try:
            if dependencies:
                # A simulation needs no root; it reads the system's dpkg database and changes nothing.
                planned = _apt("--simulate", "--no-install-recommends", "install", *packages)
                needed = (line.split()[1] for line in planned if line.startswith("Inst "))
                packages = list(dict.fromkeys([*packages, *needed]))
            _apt("download", *packages, cwd=downloads)
        except ToolingError as error:
            raise ToolingError(f"{complaint}{error}") from error
        for archive in sorted(downloads.glob("*.deb")):
            run(["dpkg", "-x", str(archive), str(tree)])
        if into.exists():
            shutil.rmtree(into)
        tree.rename(into)


@functools.cache  # once a process
def _update() -> str:
    """Update the package lists; return what went wrong, which may not concern the packages wanted."""
    say("reading Debian's package lists")
    for folder in ("lists/partial", "cache/archives/partial"):
        (_STATE / folder).mkdir(parents=True, exist_ok=True)
    (_STATE / "apt.conf").write_text(_CONFIGURATION.format(state=_STATE), encoding="utf-8")
    try:
        _apt("update")
    except ToolingError as error:
        return f"{error}\n"
    return ""


def _apt(*arguments: str, cwd: Path = TOOLS) -> list[str]:
    return run(["apt-get", "-c", str(_STATE / "apt.conf"), "-q", *arguments], cwd)
