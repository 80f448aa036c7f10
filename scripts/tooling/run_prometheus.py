"""scripts/prometheus: Prometheus on this machine with the configuration that Docker Compose uses."""

from __future__ import annotations

import argparse
import os

from tooling import environment, servers
from tooling.checkout import ROOT, TOOLS, ToolingError, say

_DESCRIPTION = """\
Run Prometheus on this machine with the configuration of prometheus.yml, for a clipper that does not run in Docker. The
addresses of the services in that file are replaced by those below at every start; edit prometheus.yml, not the copy.
Prometheus is found as CLIPPER_PROMETHEUS, in .tools or on PATH, or else got from Debian.
"""


def main() -> int:
    """Become Prometheus, or print the configuration that it would get."""
    options = vars(_options())
    environment.enter()
    # Import what the environment holds, which is only here for certain.
    from tooling import native, prometheus  # noqa: PLC0415

    address, exporter = options["web.listen_address"], options["exporter"]
    own = address.replace("0.0.0.0:", "127.0.0.1:")
    local = {native.EXPORTER: exporter, native.PROMETHEUS: own, native.ALERTMANAGER: options["alertmanager"]}
    derived = native.derive(native.CONFIGURATION.read_text(encoding="utf-8"), ROOT, local)
    if options["print_config"]:
        say(derived, end="")
        return 0
    program = servers.fetch("prometheus")
    file = TOOLS / "prometheus/prometheus.yml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(derived, encoding="utf-8")
    say(f"Prometheus on http://{own}/ scrapes {exporter}; Ctrl-C ends it")
    try:
        # Nothing is left to do here.
        os.execv(program, prometheus.command(program, file, options["storage.tsdb.path"], address))  # noqa: S606
    except OSError as error:
        raise ToolingError(f"cannot start {program}: {error.strerror}") from error


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="prometheus", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for flag, default, text in (
        ("--exporter", "localhost:9309", "where the clipper serves its metrics"),
        ("--alertmanager", None, "where alerts are sent"),
        ("--web.listen-address", "127.0.0.1:9090", "where Prometheus listens"),
    ):
        told = f"{text} (default: {default or 'nowhere'})"
        parser.add_argument(flag, type=_address, default=default, metavar="HOST:PORT", help=told)
    data = str(TOOLS / "prometheus/data")
    parser.add_argument("--storage.tsdb.path", default=data, metavar="FOLDER", help="default: %(default)s")
    parser.add_argument(
        "--print-config", action="store_true", help="print the configuration with the local addresses, and end"
    )
    return parser.parse_args()


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return text
