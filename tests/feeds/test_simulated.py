from __future__ import annotations

import json
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import FeedError
from exporter.feeds import simulated
from exporter.feeds.channel import AWAY_LASTS, RAID_EVERY, Channel, chat_rate
from exporter.feeds.simulated import SimulatedFeed
from exporter.metrics import STREAMERS_EXPIRED
from exporter.store.shared import TRIGGER_TYPES, SharedStats

START = 1_700_000_000.0
DAY = 86_400


class Update(NamedTuple):
    at: float
    method: str
    streamer: str
    value: Any = None
    details: dict[str, Any] | None = None


class Journal:
    """A store that keeps every update with the time of the tick that wrote it."""

    def __init__(self) -> None:
        self.now = START
        self.updates: list[Update] = []

    def update_viewers(self, streamer: str, count: float, /) -> None:
        self.updates.append(Update(self.now, "viewers", streamer, count))

    def update_velocity(self, streamer: str, velocity: float, /) -> None:
        self.updates.append(Update(self.now, "velocity", streamer, velocity))

    def update_recording_status(self, streamer: str, recording: bool, /) -> None:
        self.updates.append(Update(self.now, "recording", streamer, recording))

    def add_trigger(self, streamer: str, trigger_type: str, details: dict[str, Any] | None = None, /) -> None:
        self.updates.append(Update(self.now, "trigger", streamer, trigger_type, details))

    def increment_clips_today(self, streamer: str, /) -> None:
        self.updates.append(Update(self.now, "clip", streamer))

    def clear_streamer_stats(self, streamer: str, /) -> None:
        self.updates.append(Update(self.now, "clear", streamer))


def simulate(seconds: int, *, seed: int, streamers: int = 8, step: float = 1.0) -> list[Update]:
    journal = Journal()
    feed = SimulatedFeed(journal, seed=seed, start=START, streamers=streamers, step=step)
    for tick in range(round(seconds / step)):
        journal.now = START + tick * step
        feed.advance(journal.now)
    return journal.updates


@pytest.fixture(scope="module")
def day() -> list[Update]:
    return simulate(DAY, seed=1)


@pytest.fixture(scope="module")
def by_streamer(day: list[Update]) -> dict[str, list[Update]]:
    lives = defaultdict(list)
    for update in day:
        lives[update.streamer].append(update)
    return dict(lives)


def of(method: str, updates: list[Update]) -> Iterator[Update]:
    return (update for update in updates if update.method == method)


def untimed(updates: list[Update]) -> list[tuple[Any, ...]]:
    return [update[1:] for update in updates]


# -- what it is a function of ------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(), pauses=st.lists(st.floats(0, 90, exclude_min=True), max_size=20))
def test_how_often_it_is_called_changes_nothing(seed: int, pauses: list[float]) -> None:
    journal = Journal()
    feed = SimulatedFeed(journal, seed=seed, start=START, streamers=3)
    now = START
    for pause in pauses:
        now = min(now + pause, START + 299)
        feed.advance(now)
    feed.advance(START + 299)
    assert untimed(journal.updates) == untimed(simulate(300, seed=seed, streamers=3))


def test_another_seed_is_another_story() -> None:
    assert untimed(simulate(60, seed=1)) != untimed(simulate(60, seed=2))


def test_a_clock_that_is_set_back_writes_nothing_twice() -> None:
    journal = Journal()
    feed = SimulatedFeed(journal, seed=1, start=START)
    feed.advance(START + 60)
    feed.advance(START + 30)
    feed.advance(START + 60)
    assert untimed(journal.updates) == untimed(simulate(61, seed=1))


def test_a_shorter_step_is_a_finer_grain_of_the_same_thing() -> None:
    def above_usual(step: float) -> float:
        """Messages written, as a multiple of what so many viewers usually write."""
        channel = Channel("any", 9_000, seed=3, start=START, step=step)
        moments = [channel.advance(START + tick * step) for tick in range(round(4 * 3_600 / step))]
        live = [moment for moment in moments if moment]
        return sum(moment.messages for moment in live) / sum(chat_rate(moment.viewers) * step for moment in live)

    assert 1.0 < above_usual(1.0) < 2.0
    assert above_usual(0.25) == pytest.approx(above_usual(1.0), rel=0.15)


@pytest.mark.parametrize(
    ("options", "mistake"),
    [
        ({"streamers": 0}, "streamers: expected at least 1, got 0"),
        ({"step": 0}, "step: expected seconds above 0, at most 10, got 0"),
        ({"step": 11.0}, "step: expected seconds above 0, at most 10, got 11.0"),
        ({"step": math.nan}, "step: expected seconds above 0, at most 10, got nan"),
    ],
)
def test_a_mistake_in_an_option_is_named(options: dict[str, Any], mistake: str) -> None:
    with pytest.raises(FeedError) as caught:
        SimulatedFeed(Journal(), seed=1, start=START, **options)
    assert str(caught.value) == mistake


def test_any_number_of_streamers_have_names_of_their_own() -> None:
    names = {update.streamer for update in simulate(1, seed=1, streamers=20)}
    assert len(names) == 20
    assert {"NovaKestrel", "NovaKestrel_2", "NovaKestrel_3"} < names


# -- a day of it ------------------------------------------------------------------------------------------------------


def test_every_value_is_one_that_can_be(day: list[Update]) -> None:
    assert all(type(update.value) is int and update.value >= 0 for update in of("viewers", day))
    assert all(math.isfinite(update.value) and update.value >= 0 for update in of("velocity", day))
    assert {update.value for update in of("trigger", day)} == set(TRIGGER_TYPES)


def test_channels_keep_their_sizes(by_streamer: dict[str, list[Update]]) -> None:
    for name, size in simulated.ROSTER:
        median = statistics.median(update.value for update in of("viewers", by_streamer[name]))
        assert median == pytest.approx(size, rel=0.3), name


def test_large_channels_move_by_a_few_per_cent_in_two_minutes_and_small_ones_by_more(
    by_streamer: dict[str, list[Update]],
) -> None:
    def typical_move(name: str) -> float:
        polls: list[int] = [update.value for update in of("viewers", by_streamer[name])]
        return statistics.median(abs(later / earlier - 1) for earlier, later in zip(polls, polls[12:], strict=False))

    assert 0.005 < typical_move("NovaKestrel") < 0.06
    assert typical_move("byte_sized_benno") > 2 * typical_move("NovaKestrel")


def test_raids_come_as_often_as_the_model_says() -> None:
    channel = Channel("raided", 60_000, seed=1, start=START, step=1.0)
    moments = [channel.advance(START + second) for second in range(DAY)]
    rises = [b.viewers / a.viewers - 1 for a, b in pairwise(moments) if a and b]
    raids = [rise for rise in rises if rise > 0.1]  # the rest of the model is far below that in a second
    assert len(raids) == pytest.approx(DAY / RAID_EVERY, rel=0.5)
    assert max(raids) < 3.1
    assert min(rises) > -0.1


def test_viewers_are_polled_every_ten_seconds_and_chat_is_read_every_second(
    by_streamer: dict[str, list[Update]],
) -> None:
    for method, interval in (("viewers", 10), ("velocity", 1)):
        for updates in by_streamer.values():
            gaps = [later.at - earlier.at for earlier, later in pairwise(of(method, updates))]
            assert statistics.mode(gaps) == interval
            away = [gap for gap in gaps if gap != interval]
            assert all(gap >= AWAY_LASTS[0] for gap in away)


def test_a_minute_of_eight_streamers_typically_shows_a_few_triggers(day: list[Update]) -> None:
    per_minute = Counter(update.at // 60 for update in of("trigger", day))
    minutes = range(int(START // 60), int((START + DAY) // 60))
    assert 2 <= statistics.median(per_minute[minute] for minute in minutes) <= 6
    assert sum(per_minute[minute] == 0 for minute in minutes) < len(minutes) / 10


def test_a_trigger_type_is_quiet_for_a_minute_after_it_fired(by_streamer: dict[str, list[Update]]) -> None:
    for updates in by_streamer.values():
        for kind in TRIGGER_TYPES:
            times = [update.at for update in of("trigger", updates) if update.value == kind]
            assert len(times) > 1
            assert all(later - earlier >= 60 for earlier, later in pairwise(times))


def test_trigger_details_say_what_was_written(by_streamer: dict[str, list[Update]]) -> None:
    for updates in by_streamer.values():
        polls: list[int] = []
        velocity = 0.0  # per minute
        for update in updates:
            if update.method == "clear":
                polls = []
            elif update.method == "viewers":
                polls.append(update.value)
            elif update.method == "velocity":
                velocity = update.value
            elif update.method == "trigger":
                details = update.details
                assert details is not None
                if update.value == "viewer_spike":
                    before = polls[-13:-1]
                    baseline = statistics.fmean(before)
                    assert details == {
                        "viewer_count": polls[-1],
                        "baseline": round(baseline),
                        "ratio": round(polls[-1] / baseline, 2),
                    }
                    assert len(before) >= 6
                    assert details["ratio"] >= 1.3
                elif update.value == "chat_velocity":
                    messages = details["message_count"]
                    # Per second in the details, per minute in the gauge, counted over ten seconds.
                    assert details == {
                        "velocity": round(messages / 10, 1),
                        "threshold": details["threshold"],
                        "message_count": messages,
                    }
                    assert messages * 6 == pytest.approx(velocity)
                    assert details["velocity"] >= details["threshold"] >= 1.0
                else:
                    said = "keyword" if update.value == "keyword" else "emote"
                    assert set(details) == {said, "message_count", "share"}
                    assert details[said]
                    assert details["message_count"] >= 8
                    assert details["message_count"] / details["share"] == pytest.approx(velocity / 6, rel=0.02)


def test_every_trigger_starts_a_recording_unless_one_runs_and_every_recording_ends_in_a_clip(
    by_streamer: dict[str, list[Update]],
) -> None:
    for updates in by_streamer.values():
        began: float | None = None
        refreshed = 0.0
        recordings = clips = triggers = 0
        for earlier, update in pairwise(updates):
            triggers += update.method == "trigger"
            clips += update.method == "clip"
            if earlier.method == "trigger" and began is None:
                assert (update.method, update.value) == ("recording", True)
            if update.method == "clip":
                assert (earlier.method, earlier.value) == ("recording", False)
            if update.method != "recording":
                continue
            if update.value and began is None:
                assert earlier.method == "trigger"
                began = refreshed = update.at
                recordings += 1
            elif update.value:
                assert update.at - refreshed <= 10
                refreshed = update.at
            elif began is not None:
                assert update.at - began <= 91
                assert update.at - refreshed <= 10
                began = None
        assert recordings > 10
        assert recordings - (began is not None) == clips <= triggers


def test_recordings_that_the_stream_does_not_cut_last_half_a_minute_at_least(
    by_streamer: dict[str, list[Update]],
) -> None:
    for updates in by_streamer.values():
        began = None
        for number, update in enumerate(updates):
            if update.method == "recording" and update.value:
                began = update.at if began is None else began
            elif update.method == "recording" and began is not None:
                cut = [each.method for each in updates[number + 1 : number + 3]] == ["clip", "clear"]
                assert cut or update.at - began >= 30
                began = None


def test_a_stream_that_ends_is_cleared_and_comes_back_small(by_streamer: dict[str, list[Update]]) -> None:
    for name, size in simulated.ROSTER:
        updates = by_streamer[name]
        ends = [number for number, update in enumerate(updates) if update.method == "clear"]
        assert 4 <= len(ends) <= 30
        for end in ends:
            later = updates[end + 1 :]
            if not later:  # the day is over
                continue
            assert AWAY_LASTS[0] <= later[0].at - updates[end].at <= AWAY_LASTS[1] + 1
            assert (later[0].method, later[0].value) == ("recording", False)
            first = next(of("viewers", later))
            assert first.at - later[0].at <= 10
            assert first.value < 0.7 * size


def test_the_real_store_accepts_an_hour_of_it() -> None:
    now = START
    store = SharedStats.create(clock=lambda: now, strict=True)
    feed = SimulatedFeed(store, seed=4, start=START)
    journal = simulate(3_600, seed=4)
    for second in range(3_600):
        now = START + second
        feed.advance(now)
    stats = store.get_all_stats()
    assert json.loads(json.dumps(stats)) == stats
    assert [(each["streamer"], each["type"], each["details"]) for each in reversed(stats["recent_triggers"])] == [
        (update.streamer, update.value, update.details) for update in of("trigger", journal)
    ][-20:]
    assert stats["clips_today"] == Counter(update.streamer for update in of("clip", journal))
    assert store.own_numbers()[STREAMERS_EXPIRED] == 0
