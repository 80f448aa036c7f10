"""How fast the alert rules catch raids on recorded streams, and what they raise where there is no raid.

Every recording of more than 500 viewers gets a raid at every minute after the first two: a step of a quarter to four
times the viewers, held for five minutes. Each raid is scraped at each of five phases, one second apart, and begins at a
second of its own within the evaluation interval. The delay is counted from the moment the viewers are written until the
alert fires.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from alerts.recorded import SCRAPE_INTERVAL, named, notation, scraped, viewers_series
from benchmarks import ramps
from benchmarks.evaluation import EvaluationError, Query, evaluate
from exporter.errors import FeedError
from exporter.feeds.recorded import Row
from tooling import servers
from tooling.checkout import ToolingError

SIZES = (0.25, 0.5, 1.0, 3.0)
ARRIVALS = (0, 30, 60)  # seconds until all of the raid is there; 0 is a step
HELD = 300  # seconds
FIRST_MINUTE = 2
LEFT = 30  # seconds that a recording goes on for after its last raid's minute begins
SMALLEST = 500  # viewers
ALERT = 'ALERTS{alertname="ClipperViewerSpike", severity="info", alertstate="firing"}'


@dataclass(frozen=True, slots=True)
class Raid:
    """A raid on a recording: ``size`` times the viewers of the moment more, from second ``start`` on."""

    recording: str
    start: int
    size: float
    arrival: int = 0
    phase: int = 0

    def joins(self, rows: Sequence[Row]) -> list[tuple[int, int]]:
        """The recording as it is scraped with this raid in it."""
        samples = scraped(rows, self.phase)
        base = next(viewers for second, viewers in reversed(samples) if second <= self.start)
        return [(second, viewers + round(base * self.size * self._arrived(second))) for second, viewers in samples]

    def _arrived(self, second: int) -> float:
        since = second - self.start
        if not 0 <= since < HELD:
            return 0.0
        return min(1.0, since / self.arrival) if self.arrival else 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a raid's alert did: the seconds until it fired, how long it fired, and in how many pieces."""

    delay: float
    length: float
    whole: bool


def is_large(rows: Sequence[Row]) -> bool:
    """Whether raids on this recording are to be caught, whatever moment they come at."""
    return min(row.viewers for row in rows) > SMALLEST


def raids(recordings: Iterable[tuple[str, Sequence[Row]]], arrival: int) -> Iterator[tuple[Raid, Sequence[Row]]]:
    """Every raid of the measurement, with the recording that it joins."""
    for name, rows in recordings:
        if not is_large(rows):
            continue
        length = rows[-1].seconds - rows[0].seconds
        for minute in range(FIRST_MINUTE, (length - LEFT) // 60 + 1):
            start = minute * 60 + minute % SCRAPE_INTERVAL
            for size in SIZES:
                # All phases for a step; one is enough to see the shape of the others.
                for phase in range(1 if arrival else SCRAPE_INTERVAL):
                    yield Raid(name, start, size, arrival, phase), rows


def measure(promtool: Path, series: Mapping[str, Sequence[tuple[int, float]]]) -> dict[str, tuple[float, float, int]]:
    """For each of the named series that raises a spike: when it first and last fires, and at how many evaluations."""
    if not series:
        return {}
    last = max(samples[-1][0] for samples in series.values()) + SCRAPE_INTERVAL
    first, final, count = (
        {sample.labels["streamer"]: sample.value for sample in answer}
        for answer in evaluate(
            promtool,
            {viewers_series(name): notation(samples) for name, samples in series.items()},
            [Query(f"{over}_over_time(raid_fires[{last}s])", last) for over in ("min", "max", "count")],
            recorded={"raid_fires": f"{ALERT} * time()"},
        )
    )
    return {name: (first[name], final[name], round(count[name])) for name in first}


def outcomes(
    promtool: Path, recordings: Sequence[tuple[str, Sequence[Row]]], arrival: int
) -> list[tuple[Raid, Outcome | None]]:
    """Every raid with what came of it; None where no alert fired between its start and its end."""
    cases = [(raid, raid.joins(rows)) for raid, rows in raids(recordings, arrival)]
    fired = measure(promtool, {str(number): samples for number, (_, samples) in enumerate(cases)})
    return [(raid, _outcome(raid, fired.get(str(number)))) for number, (raid, _) in enumerate(cases)]


def _outcome(raid: Raid, fired: tuple[float, float, int] | None) -> Outcome | None:
    if fired is None or not raid.start <= fired[0] < raid.start + HELD:
        return None
    first, final, count = fired
    length = final - first + SCRAPE_INTERVAL
    return Outcome(first - raid.start, length, count * SCRAPE_INTERVAL == length)


def table(results: Iterable[tuple[Raid, Outcome | None]]) -> Iterator[str]:
    """The lines of a table by recording and size."""
    yield f"{'recording':22}{'size':>7}{'raids':>7}{'caught':>8}{'median':>9}{'worst':>8}{'fires for':>13}{'split':>7}"
    groups: dict[tuple[str, float], list[Outcome | None]] = {}
    for raid, outcome in results:
        groups.setdefault((raid.recording, raid.size), []).append(outcome)
        groups.setdefault(("all", raid.size), []).append(outcome)
    for (recording, size), group in sorted(groups.items(), key=lambda item: (item[0][0] == "all", item[0])):
        caught = [outcome for outcome in group if outcome is not None]
        line = f"{recording:22}{size:>+7.0%}{len(group):>7}{len(caught):>8}"
        if caught:
            delays = [outcome.delay for outcome in caught]
            lengths = [outcome.length for outcome in caught]
            line += f"{statistics.median(delays):>7.0f} s{max(delays):>6.0f} s"
            line += f"{min(lengths):>6.0f}-{max(lengths):.0f} s".rjust(13)
            line += f"{sum(not outcome.whole for outcome in caught):>7}"
        yield line


def main(arguments: list[str]) -> int:
    """Print the tables; the exit status is 1 when a step is missed or a stream without a raid raises an alert."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks raids", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "files", nargs="*", metavar="CSV", help="recordings (seconds,viewers); default: the package's own"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also draw one raid as SVG or PNG (needs matplotlib)")
    options = parser.parse_args(arguments)
    if options.plot is not None and find_spec("matplotlib") is None:
        parser.error("--plot needs matplotlib: pip install '.[benchmarks]'")
    try:
        recordings = named(options.files)
        promtool = servers.fetch("promtool")
        missed = 0
        if not any(is_large(rows) for _, rows in recordings):
            print(f"no recording stays above {SMALLEST} viewers: no raids")
        for arrival in ARRIVALS:
            print(f"Raids that arrive within {arrival} s:" if arrival else "Raids that arrive at once:")
            results = outcomes(promtool, recordings, arrival)
            print(*table(results), sep="\n", end="\n\n")
            missed += sum(outcome is None for _, outcome in results) if not arrival else 0
        quiet = {
            f"{name} {phase}": scraped(rows, phase) for name, rows in recordings for phase in range(SCRAPE_INTERVAL)
        }
        alarms = measure(promtool, quiet)
        print(f"False alarms on {len(recordings)} recordings at {SCRAPE_INTERVAL} phases: {len(alarms)}")
        ramped = measure(promtool, dict(ramps.family()))
        print(f"False alarms on {len(dict(ramps.family()))} ramps: {len(ramped)} {sorted(ramped)}")
        if options.plot is not None and any(is_large(rows) for _, rows in recordings):
            from benchmarks.raids_plot import draw  # noqa: PLC0415 (needs matplotlib, which nothing else does)

            draw(promtool, recordings, options.plot)
    except (FeedError, ToolingError, EvaluationError) as error:
        print(error, file=sys.stderr)
        return 2
    return 1 if missed or alarms or ramped else 0
