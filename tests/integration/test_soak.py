"""One minute of everything at once; ``python -m benchmarks soak`` takes ten, and ten times as much."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import soak

pytestmark = pytest.mark.integration

# A minute is too short to tell a leak from what is needed at first: only one that would fill a machine is seen.
ARGUMENTS = ["--minutes=1", "--warm-up=0.5", "--streamers=1000", "--sse=20", "--socketio=10", "--growth=2000"]


def test_one_minute(prometheus_program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prometheus_program.exists()
    status = soak.main(ARGUMENTS)
    printed = capsys.readouterr().out
    assert status == 0, printed
    counts = dict(line.rsplit(maxsplit=1) for line in printed.splitlines() if line.startswith(("sse", "garbage")))
    # Who reads was pushed to, and garbage was answered: the soak was one.
    assert float(counts["sse pushes"]) > 100
    assert float(counts["garbage 400"]) > 10
