"""A picture of scrape time against streamers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

_LINES = {
    ("theirs", "scrape, everything changed"): ("prometheus_client", "#888888", "o-"),
    ("ours", "scrape, everything changed"): ("ours, everything changed", "#d55e00", "s-"),
    ("ours", "scrape, 1 % changed"): ("ours, 1 % changed", "#0072b2", "^-"),
    ("ours", "scrape, nothing changed"): ("ours, nothing changed", "#56b4e9", "v--"),
}


def draw(medians: Mapping[int, Mapping[str, Mapping[str, float]]], file: Path) -> None:
    """Draw the medians (seconds, by size, side and measurement) into ``file``."""
    mpl.rcParams["svg.hashsalt"] = "exposition"
    figure, axes = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
    for (side, what), (label, colour, style) in _LINES.items():
        axes.plot(
            list(medians), [medians[size][side][what] * 1000 for size in medians], style, color=colour, label=label
        )
    axes.set(xscale="log", yscale="log", xlabel="streamers", ylabel="time to render a scrape (ms)")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend()
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
