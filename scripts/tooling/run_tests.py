"""scripts/test: the environment and the servers that tests need, then pytest."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial

from tooling import environment, node, servers
from tooling.checkout import ROOT, ToolingError, say

_DESCRIPTION = """\
Run the tests. The first run makes a virtual environment in .venv and gets into .tools what tests need from outside: the
programs that they talk to (Prometheus, Alertmanager, Chromium) from Debian, Grafana's own code and the client of
Socket.IO from npm. Nothing needs root. Without one of them, its tests are skipped; where CI is set, they fail.

Every argument goes to pytest, and paths are relative to the checkout: scripts/test tests/integration -k viewers
"""


def main() -> int:
    """Run pytest with the arguments given; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="test",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [pytest's arguments]",
        allow_abbrev=False,
    )
    _, arguments = parser.parse_known_args()
    environment.enter("dev")
    programs: list[Callable[[], object]] = [partial(servers.fetch, name) for name in servers.PROGRAMS]
    for fetch in [*programs, node.GRAFANA.fetch, node.SOCKETIO_CLIENT.fetch]:
        try:
            fetch()
        except ToolingError as error:
            say(str(error))
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *arguments])  # noqa: S606 (nothing is left to do here)
