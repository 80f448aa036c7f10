"""A picture of one raid: viewers, the recent mean, the threshold, and when the alert fires."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from alerts.recorded import SCRAPE_INTERVAL, notation, viewers_series
from benchmarks.evaluation import Query, evaluate
from benchmarks.raids import Raid, is_large
from exporter.feeds.recorded import Row

SIZE = 0.5
BEFORE, AFTER = 180, 540  # seconds of the recording that are shown
LINES = {
    "viewers": "streamer:clipper_viewers:max",
    "recent mean": "streamer:clipper_viewers:mean",
    "threshold": 'streamer:clipper_viewers:mean * scalar(clipper:viewer_spike_ratio:threshold{severity="info"})',
}
ALERT = 'ALERTS{alertname="ClipperViewerSpike", severity="info", alertstate="firing"}'


def draw(promtool: Path, recordings: Sequence[tuple[str, Sequence[Row]]], file: Path) -> None:
    """Draw a raid in the middle of the longest large recording (there must be one) into ``file``.

    Raises EvaluationError.
    """
    name, rows = max(
        (recording for recording in recordings if is_large(recording[1])),
        key=lambda recording: recording[1][-1].seconds,
    )
    start = (rows[-1].seconds - rows[0].seconds) // 2
    raid = Raid(name, start, SIZE)
    moments = range(max(0, start - BEFORE), min(start + AFTER, rows[-1].seconds), SCRAPE_INTERVAL)
    expressions = [*LINES.values(), ALERT]
    answers = iter(
        evaluate(
            promtool,
            {viewers_series(name): notation(raid.joins(rows))},
            [Query(expression, moment) for expression in expressions for moment in moments],
        )
    )
    drawn = {
        label: [(moment - start, sample.value) for moment in moments for sample in next(answers)]
        for label in (*LINES, "alert")
    }
    mpl.rcParams["svg.hashsalt"] = "raids"  # the same picture from the same rules
    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    for label, style in zip(LINES, ("-", "--", ":"), strict=True):
        axes.plot(*zip(*drawn[label], strict=True), style, drawstyle="steps-post", label=label)
    firing = [moment for moment, _ in drawn["alert"]]
    if firing:
        axes.axvspan(firing[0], firing[-1] + SCRAPE_INTERVAL, alpha=0.15, label=f"alert fires after {firing[0]} s")
    axes.set(title=f"{name}, raid of {SIZE:+.0%} held for 5 minutes", xlabel="seconds since the raid", ylabel="viewers")
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower right")
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
    plt.close(figure)
