"""Whether Prometheus answers right: what "the numbers agree" means between a store that moves and scrapes of it.

A scrape is one moment. ``/api/stats`` is asked twice a second, so two of its answers enclose that moment. Prometheus is
right when it holds, for every streamer, a viewer count that one of these answers reported, and no other streamers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

# Between the clock readings of two programs on one machine, of which Prometheus rounds to milliseconds.
CLOCK_SLACK: Final = 0.005


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The viewer counts of one answer of ``/api/stats``, and when it was ``asked`` and ``answered`` (Unix seconds)."""

    asked: float
    answered: float
    viewers: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether Prometheus was ``right``, and one line for a person that says in what, or why not."""

    right: bool
    text: str


def compare(held: Mapping[str, float], began: float, seconds: float, snapshots: Sequence[Snapshot]) -> Verdict:
    """Judge the viewer counts that Prometheus has ``held`` since the scrape that ``began`` then and took ``seconds``.

    ``snapshots`` are in order of time.
    """
    around = _around(began, began + seconds, snapshots)
    if not around:
        return Verdict(False, "the newest scrape is not yet enclosed by two answers of /api/stats")
    reported = [snapshot.viewers for snapshot in around]
    everyone = set().union(*reported)
    always = everyone.intersection(*reported)
    mistakes = [
        *(f"{streamer!r} is missing" for streamer in sorted(always - set(held))),
        *(f"{streamer!r} is not one of the streamers" for streamer in sorted(set(held) - everyone)),
        *(
            f"{streamer!r} has {value:g} viewers, not {' or '.join(_values(streamer, reported))}"
            for streamer, value in sorted(held.items())
            if streamer in everyone and all(viewers.get(streamer) != value for viewers in reported)
        ),
    ]
    if mistakes:
        return Verdict(False, f"PromQL and /api/stats differ: {mistakes[0]} ({len(mistakes)} such)")
    if not held:
        return Verdict(False, "there are no streamers to compare")
    return Verdict(True, f"PromQL agrees with /api/stats: {len(held)} streamers, each with the viewers of the scrape")


def _around(began: float, ended: float, snapshots: Sequence[Snapshot]) -> Sequence[Snapshot]:
    """Return the snapshots from the last one before the scrape to the first one after it; none if either is missing."""
    before = [index for index, snapshot in enumerate(snapshots) if snapshot.answered <= began - CLOCK_SLACK]
    after = [index for index, snapshot in enumerate(snapshots) if snapshot.asked >= ended + CLOCK_SLACK]
    return snapshots[before[-1] : after[0] + 1] if before and after else ()


def _values(streamer: str, reported: Sequence[Mapping[str, float]]) -> list[str]:
    return sorted({f"{viewers[streamer]:g}" for viewers in reported if streamer in viewers})
