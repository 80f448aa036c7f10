"""scripts/prometheus: Prometheus on this machine with the configuration that Docker Compose uses."""

from __future__ import annotations

import argparse
import os

from tooling import environment, servers
from tooling.checkout import ROOT, TOOLS, ToolingError, say

_DESCRIPTION = """\
Run Prometheus on this machine with the configuration of prometheus.yml, for a clipper that does not run in Docker. The
addresses of the services in that file are replaced by those below at every start; edit prometheus.yml, not the copy.
Prometheus is found as CLIPPER_PROMETHEUS, in .tools or on PATH, else it is got from Debian.
"""


def main() -> int:
    """Become Prometheus, or print the configuration it would get."""
    options = _parser().parse_args()
    environment.enter()
    # Needs what the environment holds, which is only here for certain.
    from tooling import native  # noqa: PLC0415

    own = options.listen_address.replace("0.0.0.0:", "127.0.0.1:")
    local = {
        native.EXPORTER: options.exporter,
        native.PROMETHEUS: own,
        native.ALERTMANAGER: None if options.alertmanager == "none" else options.alertmanager,
    }
    derived = native.derive(native.CONFIGURATION.read_text(encoding="utf-8"), ROOT, local)
    if options.print_config:
        say(derived, end="")
        return 0
    program = servers.fetch("prometheus")
    folder = TOOLS / "prometheus"
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "prometheus.yml"
    configuration.write_text(derived, encoding="utf-8")
    command = [
        str(program),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={options.storage or folder / 'data'}",
        f"--web.listen-address={options.listen_address}",
        *servers.page_arguments(program),
    ]
    say(f"Prometheus on http://{own}/ scrapes {options.exporter}; Ctrl-C ends it")
    try:
        os.execv(program, command)  # noqa: S606 (nothing is left to do here)
    except OSError as error:
        raise ToolingError(f"cannot start {program}: {error.strerror}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="prometheus", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--exporter", type=_address, default="localhost:9309", metavar="HOST:PORT", help="default: %(default)s")
    add("--alertmanager", type=_address_or_none, default="none", metavar="HOST:PORT", help="default: %(default)s")
    add(
        "--web.listen-address",
        dest="listen_address",
        type=_address,
        default="127.0.0.1:9090",
        metavar="HOST:PORT",
        help="where Prometheus listens (default: %(default)s)",
    )
    add("--storage.tsdb.path", dest="storage", metavar="FOLDER", help="default: .tools/prometheus/data of the checkout")
    add("--print-config", action="store_true", help="print the configuration with the local addresses, and end")
    return parser


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, got {text!r}")
    return text


def _address_or_none(text: str) -> str:
    return text if text == "none" else _address(text)
