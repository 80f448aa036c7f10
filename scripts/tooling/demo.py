"""scripts/demo: the exporter on recorded and simulated streams, scraped by a real Prometheus, in a terminal."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from tooling import environment, servers
from tooling.checkout import ToolingError, say

_DESCRIPTION = """\
Run clipper-exporter on recorded and simulated streams, let Prometheus scrape it, and show what Prometheus answers: a
table, read back through PromQL every few seconds. In the third minute a raid comes: an alert fires, and Alertmanager
delivers it to the demo, which shows both. All addresses are free ports of 127.0.0.1; all data is in a temporary folder.

The first run makes a virtual environment in .venv and gets Prometheus and Alertmanager from Debian into .tools. Neither
needs root, and nothing else changes. Without Prometheus the table comes from the exporter itself.
"""
_EPILOGUE = """\
exit status:
  0  the demo ended; with --seconds: and Prometheus was right, which means that one of its last three scrapes had
     exactly the streamers and viewers that the exporter's /api/stats reported at that moment
  1  something failed; with --seconds also: Prometheus was not right, or there was none
  2  the command line is wrong

environment:
  CLIPPER_PROMETHEUS    the Prometheus program to use
  CLIPPER_ALERTMANAGER  the Alertmanager program to use
  NO_COLOR              if set, no colours
"""


def main() -> int:
    """Run the demo as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="demo", description=_DESCRIPTION, epilog=_EPILOGUE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seconds", type=_seconds, metavar="N", help="end after N seconds of table (default: when Ctrl-C is pressed)"
    )
    options = parser.parse_args()
    environment.enter("demo")
    prometheus = _program("prometheus", "Prometheus: the table comes from the exporter's own /api/stats")
    alertmanager = prometheus and _program("prometheus-alertmanager", "Alertmanager: no alert is delivered")
    return run(prometheus, options.seconds, alertmanager)


def run(prometheus: Path | None, seconds: float | None, alertmanager: Path | None = None) -> int:
    """Run the demo with the programs that there are; return the exit status that ``--help`` tells."""
    from tooling import demo_session  # noqa: PLC0415 (needs what the environment holds, which main has only just made)

    verdict = demo_session.run(prometheus, seconds, alertmanager)
    if seconds is None:
        return 0
    if verdict is None:
        say("ended before Prometheus could answer" if prometheus else "ended without Prometheus")
        return 1
    say(("right: " if verdict.right else "not right: ") + verdict.text)
    return 0 if verdict.right else 1


def _program(name: str, without: str) -> Path | None:
    """Return where the program is, got from Debian if need be; if that fails, say what the demo is ``without``."""
    if (found := servers.find(name)) is not None:  # ends the demo if a person chose one that is not there
        return found
    try:
        return servers.fetch(name)
    except ToolingError as error:
        say(f"{error}\ngoing on without {without}")
        return None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds
