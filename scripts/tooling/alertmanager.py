"""An Alertmanager to run, including Debian's build where it is unpacked and not installed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tooling.checkout import ToolingError
from tooling.processes import Server

# Debian's build reads its default templates and pages from this folder, and has no flag for another.
_BUILT_FOR: Final = b"/usr/share/prometheus/alertmanager"
# The same length, and relative to the `usr` of the unpacked package: conda relocates programs in this way.
_RELOCATED: Final = b".////share/prometheus/alertmanager"


def server(program: Path, configuration: Path, data: Path, url: str) -> Server:
    """Return Alertmanager on the file ``configuration``, without peers, at ``url``, with its data in a folder ``data``.

    A build that must be relocated is copied to beside ``data``. Raises ``ToolingError`` if that fails.
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
    """Return how ``program`` is started: as a relocated copy if it is Debian's build, unpacked."""
    tree = program.resolve().parents[1]
    if tree == Path("/usr") or not (tree / "share/prometheus/alertmanager/default.tmpl").is_file():
        return [str(program)]
    try:
        content = program.read_bytes()
        if _BUILT_FOR not in content:
            raise ToolingError(f"{program} does not read {_BUILT_FOR.decode()}: it is not the build of its package")
        relocated.write_bytes(content.replace(_BUILT_FOR, _RELOCATED))
        relocated.chmod(0o755)
    except OSError as error:
        raise ToolingError(f"cannot copy {program} to {relocated}: {error.strerror}") from error
    return ["env", f"--chdir={tree}", str(relocated.absolute())]
