"""scripts/test: the environment and the servers that tests need, then pytest."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial

from tooling import environment, node, servers
from tooling.checkout import ROOT, ToolingError, say

_DESCRIPTION = """\
Run the tests. The first run makes a virtual environment in .venv and gets into .tools what tests need from outside: the
programs that they talk to (Prometheus, Alertmanager, Chromium) from Debian, Grafana's own code and the client of
Socket.IO from npm. Nothing needs root. Without one of them, its tests are skipped; where CI is set, they fail.

Every argument but --all goes to pytest, and paths are relative to the checkout: scripts/test tests/web -k viewers
Tests run in several processes, unless the arguments choose some by -k or name files, or choose processes with -n.
Those that take long (soaks, deep fuzzing, an image built step by step) are left out; --all runs them too.
"""
_ALL = ("-m", "", "--hypothesis-profile=long")


def main() -> int:
    """Run pytest with the arguments given; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="test",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [--all] [pytest's arguments]",
        allow_abbrev=False,
    )
    parser.add_argument("--all", action="store_true", help="also run the tests that take long")
    options, arguments = parser.parse_known_args()
    environment.enter("dev")
    programs: list[Callable[[], object]] = [partial(servers.fetch, name) for name in servers.PROGRAMS]
    for fetch in [*programs, node.GRAFANA.fetch, node.SOCKETIO_CLIENT.fetch]:
        try:
            fetch()
        except ToolingError as error:
            say(str(error))
    os.chdir(ROOT)
    command = [sys.executable, "-m", "pytest"]
    if not chooses(arguments):
        # Twice as many processes as processors, because many tests wait.
        command += ["-n", str(2 * (os.cpu_count() or 1)), "--no-loadscope-reorder"]
    if options.all:
        command += _ALL
    os.execv(sys.executable, [*command, *arguments])  # noqa: S606 (nothing is left to do here)


def chooses(arguments: Sequence[str]) -> bool:
    """Say whether ``arguments`` choose some tests, or how many processes run them."""
    return any(
        argument.startswith(("-k", "-n", "--numprocesses", "--pdb")) or ".py" in argument for argument in arguments
    )
