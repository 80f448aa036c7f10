"""Alertmanager as a server to run, Debian's build unpacked anywhere included."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tooling.checkout import ToolingError
from tooling.processes import Server

# Debian's build reads its default templates and pages from this folder, and no flag names another.
_BUILT_FOR: Final = b"/usr/share/prometheus/alertmanager"
# As long as that, and relative to the `usr` of the unpacked package: what conda does with the prefixes of its programs.
_RELOCATED: Final = b".////share/prometheus/alertmanager"


def server(program: Path, configuration: Path, data: Path, url: str) -> Server:
    """Return Alertmanager on the file ``configuration``, alone, listening at ``url``; ``data`` is a folder of its own.

    A build that has to be relocated is copied to beside ``data``. Raises ``ToolingError`` if it cannot be made to run
    where it is.
    """
    command = [
        *_command(program, data.with_name(f"{data.name}.relocated")),
        f"--config.file={configuration.absolute()}",
        f"--storage.path={data.absolute()}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--cluster.listen-address=",
    ]
    return Server("alertmanager", command, f"{url}/-/ready")


def _command(program: Path, relocated: Path) -> list[str]:
    """Return how ``program`` is started: a relocated copy, if it is a build of Debian's that is not installed."""
    tree = program.resolve().parents[1]
    unpacked = tree != Path("/usr") and (tree / "share/prometheus/alertmanager/default.tmpl").is_file()
    if not unpacked:
        return [str(program)]
    _relocate(program, relocated)
    return ["env", f"--chdir={tree}", str(relocated.absolute())]


def _relocate(program: Path, relocated: Path) -> None:
    try:
        content = program.read_bytes()
        if _BUILT_FOR not in content:
            raise ToolingError(f"{program}: expected a build that reads {_BUILT_FOR.decode()}, found none")
        relocated.write_bytes(content.replace(_BUILT_FOR, _RELOCATED))
        relocated.chmod(0o755)
    except OSError as error:
        raise ToolingError(f"cannot make a copy of {program} that runs where it is: {error}") from error
