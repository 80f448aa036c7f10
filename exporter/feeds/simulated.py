"""Simulated streamers, and a simulated clipper that watches them."""

from __future__ import annotations

import math
import random
from collections import deque
from typing import TYPE_CHECKING, Any

from exporter.errors import FeedError
from exporter.feeds.channel import Channel, Moment, Theme, chat_rate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.feeds import StatsWriter

# Invented streamers and their usual number of viewers.
ROSTER = (
    ("NovaKestrel", 60_000),
    ("pixel_harbor", 22_000),
    ("MossyTurnip", 9_000),
    ("ZephyrLoopback", 3_800),
    ("grandma_respawns", 1_500),
    ("TinkerfoxLive", 600),
    ("kettle_and_cat", 180),
    ("byte_sized_benno", 60),
)

# The clipper's behaviour; times are in seconds.
TICK = 1.0
POLL_EVERY = 10  # for viewers, and for the recording flag while recording
COOLDOWN = 60  # between two triggers of the same type
RECORDING_LASTS = (30, 90)

BASELINE_POLLS, BASELINE_POLLS_NEEDED = 12, 6  # a viewer baseline is the mean of the last two minutes
SPIKE_RATIO = 1.3
SPIKE_DEVIATIONS = 4  # and this many square roots above the baseline; otherwise small channels would trigger by chance

CHAT_WINDOW = 10  # of the chat velocity
CHAT_THRESHOLD_RATIO, CHAT_THRESHOLD_LEAST = 2.5, 1.0  # times the channel's usual rate; messages per second
THEME_SHARE, THEME_MESSAGES = 0.4, 8  # of a window's messages
THEME_FIELDS: dict[Theme, str] = {"keyword": "keyword", "emote_flood": "emote"}


class SimulatedFeed:
    """Simulates streamers and writes the updates of a clipper that watches them.

    Deterministic for the same ``seed``, ``start`` (Unix time of the first tick), ``streamers`` and ``step`` (seconds
    between two ticks), however often :meth:`advance` is called. Raises FeedError.
    """

    def __init__(
        self,
        store: StatsWriter,
        *,
        seed: int,
        start: float,
        streamers: int = len(ROSTER),
        step: float = TICK,
    ) -> None:
        if streamers < 1:
            raise FeedError(f"streamers: expected at least 1, got {streamers!r}")
        if not 0 < step <= POLL_EVERY:
            raise FeedError(f"step: expected seconds above 0, at most {POLL_EVERY}, got {step!r}")
        self._start = start
        self._step = step
        self._ticks = 0
        self._watches = [
            _Watch(
                store,
                Channel(name, size, seed=seed, start=start, step=step),
                random.Random(f"{seed}/{name}/clipper"),  # noqa: S311 # nosec B311 # a simulation has no secrets
                first_poll=start + number * POLL_EVERY / streamers,
                step=step,
            )
            for number, (name, size) in enumerate(_roster(streamers))
        ]

    def advance(self, now: float) -> None:
        """Simulate every tick up to Unix time ``now``."""
        while (tick := self._start + self._ticks * self._step) <= now:
            self._ticks += 1
            for watch in self._watches:
                watch.tick(tick)


def _roster(streamers: int) -> Iterator[tuple[str, int]]:
    """Yield ``streamers`` names and sizes; after the end of the roster, names repeat with a number."""
    for number in range(streamers):
        lap, index = divmod(number, len(ROSTER))
        name, size = ROSTER[index]
        yield (f"{name}_{lap + 1}" if lap else name), size


class _Watch:
    """Watches one channel for the clipper: polls, detects triggers, records and clips."""

    def __init__(
        self, store: StatsWriter, channel: Channel, rng: random.Random, *, first_poll: float, step: float
    ) -> None:
        self._store = store
        self._channel = channel
        self._name = channel.name
        self._rng = rng
        self._threshold = round(max(CHAT_THRESHOLD_LEAST, CHAT_THRESHOLD_RATIO * chat_rate(channel.size)), 1)
        self._live = False
        self._next_poll = first_poll
        self._recording_ends: float | None = None
        self._polls: deque[int] = deque(maxlen=BASELINE_POLLS)
        moments = round(CHAT_WINDOW / step)
        self._window = moments * step
        self._chat: deque[Moment] = deque(maxlen=moments)
        self._quiet_until: dict[str, float] = {}

    def tick(self, now: float) -> None:
        moment = self._channel.advance(now)
        if moment is None:
            if self._live:
                self._stream_ended()
            return
        if not self._live:
            self._stream_began(now)
        if self._recording_ends is not None and now >= self._recording_ends:
            self._end_recording()
        self._read_chat(moment, now)
        if now >= self._next_poll:
            self._next_poll += POLL_EVERY
            self._poll(moment.viewers, now)

    def _stream_began(self, now: float) -> None:
        self._live = True
        self._next_poll = max(self._next_poll, now)
        self._store.update_recording_status(self._name, False)

    def _stream_ended(self) -> None:
        if self._recording_ends is not None:
            self._end_recording()
        self._live = False
        self._polls.clear()
        self._chat.clear()
        self._store.clear_streamer_stats(self._name)

    def _poll(self, viewers: int, now: float) -> None:
        self._store.update_viewers(self._name, viewers)
        if self._recording_ends is not None:
            self._store.update_recording_status(self._name, True)
        if len(self._polls) >= BASELINE_POLLS_NEEDED:
            baseline = sum(self._polls) / len(self._polls)
            if viewers >= max(SPIKE_RATIO * baseline, baseline + SPIKE_DEVIATIONS * math.sqrt(baseline)):
                ratio = round(viewers / baseline, 2)
                details = {"viewer_count": viewers, "baseline": round(baseline), "ratio": ratio}
                self._trigger("viewer_spike", details, now)
        self._polls.append(viewers)

    def _read_chat(self, moment: Moment, now: float) -> None:
        self._chat.append(moment)
        messages = sum(each.messages for each in self._chat)
        velocity = messages / self._window  # messages per second here, per minute in the store
        self._store.update_velocity(self._name, round(velocity * 60, 1))
        if velocity >= self._threshold:
            details = {"velocity": round(velocity, 1), "threshold": self._threshold, "message_count": messages}
            self._trigger("chat_velocity", details, now)
        if moment.theme is not None and moment.on_theme:
            count = sum(each.on_theme for each in self._chat if each.theme == moment.theme)
            if count >= max(THEME_MESSAGES, THEME_SHARE * messages):
                kind, text = moment.theme
                share = round(count / messages, 2)
                self._trigger(kind, {THEME_FIELDS[kind]: text, "message_count": count, "share": share}, now)

    def _trigger(self, kind: str, details: dict[str, Any], now: float) -> None:
        if now < self._quiet_until.get(kind, -math.inf):
            return
        self._quiet_until[kind] = now + COOLDOWN
        self._store.add_trigger(self._name, kind, details)
        if self._recording_ends is None:
            self._recording_ends = now + self._rng.uniform(*RECORDING_LASTS)
            self._store.update_recording_status(self._name, True)

    def _end_recording(self) -> None:
        self._recording_ends = None
        self._store.update_recording_status(self._name, False)
        self._store.increment_clips_today(self._name)
