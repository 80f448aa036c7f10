"""The first minutes of streams that nobody raids: made-up ramps, for there are no recordings of them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from itertools import product

SECONDS = 1200
SCRAPE = 5
LEVELS = (300, 1_500, 20_000)  # viewers the ramp leads to
PACES = (60, 120, 300, 600)  # seconds: of a saturating ramp its time constant, of any other the time to its end
POLLS = (5, 10, 60)  # seconds between two readings of the platform's figure
# Viewers stay, so a channel's figure moves less than independent arrivals would (1.0). The recorded small one: 0.26.
ROUGHNESS = 0.5
SHAPES: dict[str, Callable[[float], float]] = {
    "linear": lambda x: min(1.0, x),
    "saturating": lambda x: 1 - math.exp(-x),
    "s-shaped": lambda x: 1 / (1 + math.exp(5 - 10 * x)),
}


def family() -> Iterator[tuple[str, list[tuple[int, float]]]]:
    """Every ramp: its name and its samples, (second, viewers)."""
    for shape, level, pace, poll in product(SHAPES, LEVELS, PACES, POLLS):
        name = f"{shape} to {level} in {pace} s, polled every {poll} s"
        noise = random.Random(name)  # noqa: S311 (noise of a figure, not a secret)
        samples = []
        viewers = 0.0
        for second in range(0, SECONDS, SCRAPE):
            if second % poll == 0:
                expected = level * SHAPES[shape](second / pace)
                viewers = max(0, round(noise.gauss(expected, ROUGHNESS * math.sqrt(expected))))
            samples.append((second, viewers))
        yield name, samples
