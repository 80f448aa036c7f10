"""scripts/demo: the exporter on recorded and simulated streams, scraped by a real Prometheus, in a terminal."""

from __future__ import annotations

import argparse
import math
import signal
import tempfile
from pathlib import Path

from tooling import environment, servers
from tooling.checkout import ToolingError, say

_DESCRIPTION = """\
Run clipper-exporter on four recorded and eight simulated streams, let Prometheus scrape it, and show what Prometheus
then answers: a table, read back through PromQL every few seconds. In the third minute a raid comes: an alert fires, and
Alertmanager delivers it to the demo, which shows both.

The first run makes a virtual environment in .venv and gets Prometheus and Alertmanager from Debian into .tools; neither
needs root, and nothing else changes. Where Prometheus cannot be had, the demo says how to get it and reads the table
from the exporter itself. All addresses are on 127.0.0.1, on free ports; Prometheus's data is in a temporary folder.
"""
_EPILOGUE = """\
Prometheus has answered right if one of its last three scrapes succeeded and held exactly the streamers and viewers that
the exporter's /api/stats reported at the moment of that scrape.

exit status:
  0  the demo ended; with --seconds: and Prometheus answered right
  1  something did not work; with --seconds also: Prometheus did not answer right, or there was none
  2  the command line is wrong

environment:
  CLIPPER_PROMETHEUS    the Prometheus program to use
  CLIPPER_ALERTMANAGER  the Alertmanager program to use
  NO_COLOR              if set, no bold heading
"""


def main() -> int:
    """Run the demo as the command line says; return the exit status."""
    options = _parser().parse_args()
    environment.enter()
    prometheus = _program("prometheus", "Prometheus: the table comes from the exporter's own /api/stats")
    alertmanager = prometheus and _program("prometheus-alertmanager", "Alertmanager: no alert is delivered")
    return run(prometheus, options.seconds, alertmanager)


def run(prometheus: Path | None, seconds: float | None, alertmanager: Path | None = None) -> int:
    """Run the demo with the programs that there are; return the exit status that ``--help`` tells."""
    # Needs what the environment holds, which main has only just made sure of.
    from tooling.session import Session, Stopped, StopRequest  # noqa: PLC0415

    stop = StopRequest()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: setattr(stop, "made", True))
    with (
        tempfile.TemporaryDirectory(prefix="clipper-exporter-demo-") as folder,
        Session(Path(folder), stop) as session,
    ):
        try:
            session.start(prometheus, alertmanager)
            verdict = session.show(seconds)
        except Stopped:
            verdict = None
    if seconds is None:
        return 0
    if verdict is None:
        say("ended before Prometheus could answer" if prometheus else "ended without Prometheus")
        return 1
    say(("right: " if verdict.right else "not right: ") + verdict.text)
    return 0 if verdict.right else 1


def _program(name: str, without: str) -> Path | None:
    """Return where the program is, got from Debian if need be; without it, say what goes ``without`` it, and None."""
    found = servers.find(name)  # raises, and ends the demo, if a person chose one that is not there
    if found is not None:
        return found
    try:
        return servers.fetch(name)
    except ToolingError as error:
        say(f"{error}\ngoing on without {without}")
        return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="demo", description=_DESCRIPTION, epilog=_EPILOGUE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seconds", type=_seconds, metavar="N", help="end after N seconds of table (default: when Ctrl-C is pressed)"
    )
    return parser


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, got {text!r}")
    return seconds
