"""A simulated channel: its viewers and chat messages, step by step."""

from __future__ import annotations

import math
import random
from typing import Literal, NamedTuple

# Times are in seconds, rates are "once in so many seconds" on average, spreads are relative (0.1 is 10 %).
STREAM_LASTS = (2_400, 14_400)
AWAY_LASTS = (120, 480)
FIRST_STREAM_LEFT = (180, 14_400)  # at the start of the feed every channel is live, at a random point of its stream

RAMP_FROM, RAMP_SECONDS = 0.3, 600  # a stream starts with 30 % of its audience and gains the rest
# The bundled recordings typically change by 1.4 % (12,000 viewers) to 7 % (30 viewers) in two minutes.
DRIFT_SPREAD, DRIFT_SECONDS = 0.06, 1_800  # slow, the same for all channels
NOISE_SCALE, NOISE_SECONDS = 0.6, 45  # fast, with a spread of scale / sqrt(size): 8 % of 60 viewers, 0.2 % of 60,000

RAID_EVERY, RAID_RISE, RAID_FADES = 1_800, (0.25, 3.0), 180
RAID_BURST_CHANCE = 0.7

CHAT_SCALE, CHAT_EXPONENT = 0.012, 0.66  # messages per second; viewers of large channels write less
MOOD_SPREAD, MOOD_SECONDS = 0.25, 60
BURST_EVERY, BURST_RISE, BURST_FADES = 150, (1.5, 6.0), 15  # rise: extra messages, in multiples of the usual rate
BURST_SHARE = (0.3, 0.8)  # share of a burst's messages with the same text

Theme = Literal["keyword", "emote_flood"]
THEMES: tuple[tuple[Theme, str] | None, ...] = (
    None,
    None,
    ("keyword", "clip it"),
    ("keyword", "no way"),
    ("keyword", "world record"),
    ("emote_flood", "KEKW"),
    ("emote_flood", "PogChamp"),
    ("emote_flood", "catJAM"),
)


class Moment(NamedTuple):
    """One step of a stream: its viewers, its chat messages, and how many of these are on the theme."""

    viewers: int
    messages: int
    on_theme: int
    theme: tuple[Theme, str] | None


def chat_rate(viewers: float) -> float:
    """Return the usual messages per second of an audience of ``viewers``."""
    return CHAT_SCALE * math.pow(viewers, CHAT_EXPONENT)


class _Wander:
    """A random walk that returns to 0 (Ornstein-Uhlenbeck process), exact for any step."""

    def __init__(self, rng: random.Random, spread: float, seconds: float, step: float) -> None:
        self._gauss = rng.gauss
        self._keep = math.exp(-step / seconds)
        self._kick = spread * math.sqrt(1 - self._keep**2)
        self.value = rng.gauss(0, spread)

    def advance(self) -> float:
        self.value = self.value * self._keep + self._gauss(0, self._kick)
        return self.value


class Channel:
    """The streams of one streamer, one after another; deterministic for the same arguments.

    ``size`` is the usual number of viewers, ``start`` the Unix time of the first step, ``step`` its length in seconds.
    """

    def __init__(self, name: str, size: float, *, seed: int, start: float, step: float) -> None:
        self.name = name
        self.size = size
        # Random hashes a string with SHA-512: the same on every platform, and independent for each streamer.
        self._rng = rng = random.Random(f"{seed}/{name}")  # noqa: S311 # nosec B311 # a simulation has no secrets
        self._step = step
        self._began = start - 5 * RAMP_SECONDS
        self._changes = start + rng.uniform(*FIRST_STREAM_LEFT)
        self._live = True
        self._drift = _Wander(rng, DRIFT_SPREAD, DRIFT_SECONDS, step)
        self._noise = _Wander(rng, NOISE_SCALE / math.sqrt(size), NOISE_SECONDS, step)
        self._mood = _Wander(rng, MOOD_SPREAD, MOOD_SECONDS, step)
        self._raid = 0.0
        self._burst = 0.0
        self._raid_keep = math.exp(-step / RAID_FADES)
        self._burst_keep = math.exp(-step / BURST_FADES)
        self._theme: tuple[Theme, str] | None = None
        self._share = 0.0

    def advance(self, now: float) -> Moment | None:
        """Return the step that ends at Unix time ``now``, one ``step`` after the last; None while offline."""
        if now >= self._changes:
            self._turn(now)
        if not self._live:
            return None
        self._raid *= self._raid_keep
        self._burst *= self._burst_keep
        self._happen()
        viewers = self._viewers(now)
        return self._chat(viewers)

    def _turn(self, now: float) -> None:
        """End the stream, or start the next one."""
        self._live = not self._live
        self._began = now
        self._changes = now + self._rng.uniform(*(STREAM_LASTS if self._live else AWAY_LASTS))
        self._raid = self._burst = 0.0

    def _happen(self) -> None:
        """Draw the raids and bursts of one step."""
        rng = self._rng
        raided = rng.random() < self._step / RAID_EVERY
        if raided:
            low, high = RAID_RISE
            self._raid += low * (high / low) ** rng.random()  # small raids are the common ones
        if rng.random() < self._step / BURST_EVERY or (raided and rng.random() < RAID_BURST_CHANCE):
            self._burst = max(self._burst, rng.uniform(*BURST_RISE))
            self._theme = rng.choice(THEMES)
            self._share = rng.uniform(*BURST_SHARE)

    def _viewers(self, now: float) -> int:
        ramp = 1 - (1 - RAMP_FROM) * math.exp((self._began - now) / RAMP_SECONDS)
        wander = math.exp(self._drift.advance() + self._noise.advance())
        return round(self.size * ramp * wander * (1 + self._raid))

    def _chat(self, viewers: int) -> Moment:
        usual = chat_rate(viewers) * math.exp(self._mood.advance()) * self._step
        burst = usual * self._burst
        about = 0.0 if self._theme is None else burst * self._share
        on_theme = self._arrivals(about)
        return Moment(viewers, on_theme + self._arrivals(usual + burst - about), on_theme, self._theme)

    def _arrivals(self, mean: float) -> int:
        """Return a random number of messages: approximately Poisson with ``mean``, never negative."""
        if mean < 0.01:  # 0.5, which would round up, is five standard deviations away
            return 0
        return max(0, round(self._rng.gauss(mean, math.sqrt(mean))))
