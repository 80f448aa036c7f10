"""Recorded streams as input for ``promtool test rules``.

``python -m alerts.recorded [FILE ...] > recorded_test.yml`` writes a test that plays the files (by default the
recordings that the package ships) and expects no alert about the audience at any evaluation.
"""

from __future__ import annotations

import json
import sys
from bisect import bisect_right
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.errors import FeedError
from exporter.feeds.recorded import Row, bundled, read_recording
from exporter.metrics import VIEWERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from importlib.resources.abc import Traversable

RULES = Path(__file__).with_name("rules.yml")
SCRAPE_INTERVAL = 5  # seconds; the rules are evaluated at the same pace


def scraped(rows: Sequence[Row], phase: int = 0) -> list[tuple[int, int]]:
    """What a scrape every SCRAPE_INTERVAL seconds, the first at second ``phase``, sees: (second, viewers in force)."""
    seconds = [row.seconds - rows[0].seconds for row in rows]
    moments = range(phase, seconds[-1] + SCRAPE_INTERVAL, SCRAPE_INTERVAL)
    return [(moment, rows[bisect_right(seconds, moment) - 1].viewers) for moment in moments]


def notation(samples: Iterable[tuple[int, float]]) -> str:
    """Samples in promtool's series notation at one value a second, closed by a staleness marker.

    >>> notation([(2, 10), (7, 11), (12, 11)])
    '_x2 10 _x4 11 _x4 11 _x4 stale'
    """
    words = []
    free = 0
    for second, value in samples:
        if second > free:
            words.append(f"_x{second - free}")
        words.append(f"{value:.15g}")
        free = second + 1
    return " ".join([*words, f"_x{SCRAPE_INTERVAL - 1}", "stale"])


def viewers_series(streamer: str) -> str:
    """Return the series name of a streamer's viewers."""
    return f"{VIEWERS.name}{{streamer={json.dumps(streamer)}}}"


def quiet_test(recordings: Iterable[tuple[str, Sequence[Row]]]) -> dict[str, object]:
    """A promtool test file in which the named recordings are played at every phase of the scrape, and nothing fires."""
    series, last = [], 0
    for name, rows in recordings:
        for phase in range(SCRAPE_INTERVAL):
            samples = scraped(rows, phase)
            series.append({"series": viewers_series(f"{name} +{phase}s"), "values": notation(samples)})
            last = max(last, samples[-1][0])
    held = f"last_over_time(streamer:{VIEWERS.name}:mean[1d])"
    return {
        "rule_files": [str(RULES)],
        "evaluation_interval": f"{SCRAPE_INTERVAL}s",
        "tests": [
            {
                "interval": "1s",
                "input_series": series,
                "promql_expr_test": [
                    {
                        "expr": 'last_over_time(ALERTS{topic="audience"}[1d])',
                        "eval_time": f"{last}s",
                        "exp_samples": [],
                    },
                    # Silence proves nothing unless the rules had a mean to compare with.
                    {
                        "expr": f"count({held})",
                        "eval_time": f"{last}s",
                        "exp_samples": [{"labels": "{}", "value": len(series)}],
                    },
                ],
            }
        ],
    }


def named(files: Sequence[str]) -> list[tuple[str, Sequence[Row]]]:
    """Return the recordings in ``files``, or those of the package, with their names. Raises FeedError."""
    sources: Sequence[Path | Traversable] = [Path(file) for file in files] or bundled()
    return [(Path(source.name).stem, read_recording(source)) for source in sources]


def main(files: Sequence[str]) -> int:
    """Write the test file to standard output; the exit status is 2 if a file is invalid."""
    try:
        test = quiet_test(named(files))
    except FeedError as error:
        print(error, file=sys.stderr)
        return 2
    # JSON is YAML.
    json.dump(test, sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
