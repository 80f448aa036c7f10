"""Updates and scrapes, ours and prometheus_client's, in turn and in fresh processes of the same run."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

SIZES: Final = (12, 1_000, 10_000, 100_000)
_ROOT: Final = Path(__file__).parents[1]


def main(arguments: list[str]) -> int:
    """Run the benchmark, print its tables, and return the exit status: 1 if the sides do not hold the same samples."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks exposition", description=__doc__)
    sizes = " ".join(map(str, SIZES))
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=SIZES, metavar="N", help=f"streamers (default: {sizes})"
    )
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="processes of each side (default: 5)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw scrape time against streamers into an SVG file")
    options = parser.parse_args(arguments)
    medians: dict[int, dict[str, dict[str, float]]] = {}
    for size in options.sizes:
        print(f"{size} streamers, comparing the samples ...", file=sys.stderr, flush=True)
        if _side("digest", "ours", size) != _side("digest", "theirs", size):
            print(f"at {size} streamers the two sides do not hold the same samples", file=sys.stderr)
            return 1
        found: dict[str, list[dict[str, Any]]] = {"ours": [], "theirs": []}
        for run in range(options.runs):
            for side, results in found.items():
                print(f"{size} streamers, run {run + 1} of {options.runs}, {side} ...", file=sys.stderr, flush=True)
                results.append(_side("measure", side, size))
        medians[size] = {side: _medians(results) for side, results in found.items()}
        print(_table(size, medians[size]), flush=True)
    if options.plot:
        from benchmarks.exposition_plot import draw  # noqa: PLC0415 - needs what only the plot needs

        draw(medians, options.plot)
    return 0


def _side(work: str, side: str, size: int) -> Any:
    command = [sys.executable, "-m", "benchmarks.exposition_side", work, side, str(size)]
    done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def _medians(results: list[dict[str, Any]]) -> dict[str, float]:
    # Of what is called worst, the worst of all runs: a median would hide it.
    return {
        what: (max if "worst" in what else statistics.median)([result[what] for result in results])
        for what in results[0]
    }


def _table(size: int, medians: dict[str, dict[str, float]]) -> str:
    ours, theirs = medians["ours"], medians["theirs"]
    lines = [f"\n{size:,} streamers", f"{'':28}{'ours':>12}{'theirs':>12}{'theirs/ours':>14}"]
    for what, value in ours.items():
        other = theirs.get(what)
        ratio = f"{other / value:13.1f}x" if other is not None and value else ""
        lines.append(f"{what:28}{_shown(what, value):>12}{_shown(what, other) if other is not None else '':>12}{ratio}")
    return "\n".join(lines)


def _shown(what: str, value: float) -> str:
    if what == "memory":
        return f"{value:,.0f} B"
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= scale:
            return f"{value / scale:.2f} {unit}"
    return f"{value / 1e-9:.0f} ns"
