from __future__ import annotations

import logging
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import exporter
from exporter import InvalidUpdate, SharedStats
from exporter.metrics import STREAMERS, STREAMERS_EXPIRED, UPDATES, UPDATES_REJECTED
from exporter.store.rows import Row
from exporter.store.shared import TRIGGER_TYPES
from exporter.store.state import FEW, STEP, State
from exporter.store.validation import Limits, Reason
from tests.clock import FakeClock
from tests.interleaving import Switching


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> SharedStats:
    return SharedStats.create(clock=clock, time_zone=ZoneInfo("UTC"))


def everything(store: SharedStats) -> tuple[Any, ...]:
    """All that a refused update must leave alone."""
    numbers = store.own_numbers()
    return store.get_all_stats(), store.rows(), store.version, numbers[UPDATES], numbers[STREAMERS]


class TestOldUsage:
    """What clippers of the hand-made module do, unchanged."""

    def test_every_instance_is_the_one_of_this_process(self) -> None:
        assert SharedStats() is exporter.shared_stats
        assert type(exporter.shared_stats)() is exporter.shared_stats

    def test_a_store_of_ones_own_is_another(self, store: SharedStats) -> None:
        assert store is not SharedStats()
        store.update_viewers("xQc", 1)
        assert "xQc" not in SharedStats().viewer_counts

    def test_values_are_read_back_as_they_were_written(self, store: SharedStats) -> None:
        store.update_viewers("xQc", 45000)
        store.update_velocity("xQc", 125.5)
        store.update_recording_status("xQc", True)
        assert store.viewer_counts == {"xQc": 45000}
        assert type(store.viewer_counts["xQc"]) is int
        assert store.chat_velocities == {"xQc": 125.5}
        assert store.recording_status == {"xQc": True}

    def test_triggers_are_taken_by_position_and_by_keyword(self, store: SharedStats) -> None:
        store.add_trigger("xQc", "viewer_spike", {"spike": 15000})
        store.add_trigger(streamer="xQc", trigger_type="keyword", details={"word": "clip"})
        store.add_trigger("xQc", "keyword")
        assert [(entry["type"], entry["details"]) for entry in store.recent_triggers] == [
            ("keyword", {}),
            ("keyword", {"word": "clip"}),
            ("viewer_spike", {"spike": 15000}),
        ]

    def test_the_newest_20_of_25_triggers_are_kept_newest_first(self, store: SharedStats, clock: FakeClock) -> None:
        for number in range(25):
            clock.pass_by(1)
            store.add_trigger("xQc", "viewer_spike", {"number": number})
        assert [entry["details"]["number"] for entry in store.recent_triggers] == list(range(24, 4, -1))
        assert store.rows()[0].triggers["viewer_spike"] == 25

    def test_clips_are_counted_by_streamer(self, store: SharedStats) -> None:
        assert store.get_clips_today("xQc") == 0
        for _ in range(3):
            store.increment_clips_today("xQc")
        assert store.get_clips_today("xQc") == 3
        assert store.get_clips_today("shroud") == 0

    def test_the_snapshot_has_the_documented_shape(self, store: SharedStats, clock: FakeClock) -> None:
        clock.now = datetime.fromisoformat("2026-01-17T10:30:00+00:00").timestamp()
        store.update_viewers("xQc", 45000)
        store.update_velocity("xQc", 125.5)
        store.update_recording_status("xQc", True)
        for _ in range(3):
            store.increment_clips_today("xQc")
        store.add_trigger("xQc", "viewer_spike", {"spike": 15000})
        assert store.get_all_stats() == {
            "viewer_counts": {"xQc": 45000},
            "chat_velocities": {"xQc": 125.5},
            "recording_status": {"xQc": True},
            "recent_triggers": [
                {
                    "streamer": "xQc",
                    "type": "viewer_spike",
                    "timestamp": "2026-01-17T10:30:00.000000+00:00",
                    "details": {"spike": 15000},
                }
            ],
            "clips_today": {"xQc": 3},
            "last_updated": "2026-01-17T10:30:00.000000+00:00",
        }

    def test_what_is_read_is_a_copy(self, store: SharedStats) -> None:
        details = {"who": ["a"]}
        store.update_viewers("xQc", 1)
        store.add_trigger("xQc", "keyword", details)
        details["who"].append("b")
        store.viewer_counts["xQc"] = 2
        store.recent_triggers[0]["details"]["who"].append("c")
        store.recent_triggers.clear()
        store.get_all_stats()["viewer_counts"].clear()
        assert store.viewer_counts == {"xQc": 1}
        assert store.recent_triggers[0]["details"] == {"who": ["a"]}

    def test_emitting_without_a_server_does_nothing(self) -> None:
        before = everything(exporter.shared_stats)
        exporter.emit_stats_update()
        assert everything(exporter.shared_stats) == before


class TestLifeCycle:
    """The life-cycle table: a row of it is a test, a column a step."""

    @pytest.fixture(autouse=True)
    def _fill(self, store: SharedStats) -> None:
        store.update_viewers("xQc", 45000)
        store.update_velocity("xQc", 125.5)
        store.update_recording_status("xQc", True)
        store.add_trigger("xQc", "viewer_spike")
        store.increment_clips_today("xQc")

    def test_gauges(self, store: SharedStats, clock: FakeClock) -> None:
        store.clear_streamer_stats("xQc")
        assert (store.viewer_counts, store.chat_velocities, store.recording_status) == ({}, {}, {})
        assert store.rows() == []
        store.update_viewers("xQc", 1)
        row = store.rows()[0]
        assert (row.viewers, row.velocity, row.recording) == (1, None, None)
        store.reset_all()
        assert store.rows() == []

    def test_counters(self, store: SharedStats) -> None:
        assert (store.rows()[0].triggers["viewer_spike"], store.rows()[0].clips) == (1, 1)
        store.clear_streamer_stats("xQc")
        store.update_viewers("xQc", 1)
        row = store.rows()[0]
        assert (row.triggers, row.clips) == (dict.fromkeys(TRIGGER_TYPES, 0), 0)
        store.add_trigger("xQc", "viewer_spike")
        assert store.rows()[0].triggers["viewer_spike"] == 1

    def test_times(self, store: SharedStats, clock: FakeClock) -> None:
        assert store.rows()[0].last_triggers == {"viewer_spike": clock.now}
        assert store.rows()[0].updated == clock.now
        store.clear_streamer_stats("xQc")
        clock.pass_by(10.7)
        store.update_viewers("xQc", 1)
        assert store.rows()[0].last_triggers == {}
        assert store.rows()[0].updated == clock.now

    def test_recent_triggers(self, store: SharedStats) -> None:
        store.clear_streamer_stats("xQc")
        assert len(store.recent_triggers) == 1
        store.update_viewers("xQc", 1)
        assert len(store.recent_triggers) == 1
        store.reset_all()
        assert store.recent_triggers == []

    def test_clips_today(self, store: SharedStats) -> None:
        store.clear_streamer_stats("xQc")
        assert store.get_clips_today("xQc") == 1
        store.increment_clips_today("xQc")
        assert store.get_clips_today("xQc") == 2
        store.reset_all()
        assert store.get_clips_today("xQc") == 0

    def test_clips_today_are_0_after_midnight_and_all_else_goes_on(self, store: SharedStats, clock: FakeClock) -> None:
        clock.now = datetime.fromisoformat("2026-01-17T23:59:58+00:00").timestamp()
        for _ in range(2):  # the long wait since the fill has ended that stream
            store.increment_clips_today("xQc")
            store.add_trigger("xQc", "viewer_spike")
        version = store.version
        assert store.get_clips_today("xQc") == 3
        clock.pass_by(2)
        assert store.get_clips_today("xQc") == 0
        assert store.get_all_stats()["clips_today"] == {}
        assert store.version > version
        assert (store.rows()[0].clips, store.rows()[0].triggers["viewer_spike"]) == (2, 2)
        store.increment_clips_today("xQc")
        assert store.get_clips_today("xQc") == 1

    def test_clearing_who_is_not_known_changes_nothing(self, store: SharedStats) -> None:
        before = everything(store)
        store.clear_streamer_stats("shroud")
        assert everything(store) == before


class TestMidnight:
    @pytest.mark.parametrize(
        ("zone", "before", "after"),
        [
            ("Europe/Berlin", "2026-01-17T22:59:59+00:00", "2026-01-17T23:00:00+00:00"),
            ("America/Los_Angeles", "2026-01-18T07:59:59+00:00", "2026-01-18T08:00:00+00:00"),
            ("Europe/Berlin", "2026-03-29T21:59:59+00:00", "2026-03-29T22:00:00+00:00"),  # a day of 23 hours
            ("Europe/Berlin", "2026-10-25T22:59:59+00:00", "2026-10-25T23:00:00+00:00"),  # a day of 25 hours
        ],
    )
    def test_is_where_the_time_zone_has_it(self, clock: FakeClock, zone: str, before: str, after: str) -> None:
        clock.now = datetime.fromisoformat(before).timestamp()
        store = SharedStats.create(clock=clock, time_zone=ZoneInfo(zone), stale_after=0)
        store.increment_clips_today("xQc")
        assert store.get_clips_today("xQc") == 1
        clock.now = datetime.fromisoformat(after).timestamp()
        assert store.get_clips_today("xQc") == 0
        store.increment_clips_today("xQc")
        clock.now += timedelta(hours=22).total_seconds()
        assert store.get_clips_today("xQc") == 1

    def test_a_clock_set_back_over_midnight_loses_nothing(self, clock: FakeClock) -> None:
        clock.now = datetime.fromisoformat("2026-01-17T00:00:10+00:00").timestamp()
        store = SharedStats.create(clock=clock, time_zone=ZoneInfo("UTC"))
        store.increment_clips_today("xQc")
        clock.pass_by(-60)
        assert store.get_clips_today("xQc") == 1

    def test_a_day_ends_in_time_after_a_clock_was_ahead(self, clock: FakeClock) -> None:
        store = SharedStats.create(clock=clock, time_zone=ZoneInfo("UTC"))
        clock.pass_by(30 * 86400)
        store.increment_clips_today("xQc")
        clock.pass_by(-30 * 86400)
        store.increment_clips_today("xQc")
        assert store.get_clips_today("xQc") == 2
        clock.pass_by(86400)
        assert store.get_clips_today("xQc") == 0

    def test_names_of_a_day_are_bounded_and_those_held_stay(self, clock: FakeClock) -> None:
        store = SharedStats.create(clock=clock, time_zone=ZoneInfo("UTC"), limits=Limits(streamers=3))
        store.increment_clips_today("held")
        for number in range(10):
            store.increment_clips_today(f"passing {number}")
            store.clear_streamer_stats(f"passing {number}")
        assert store.get_all_stats()["clips_today"] == {"held": 1, "passing 8": 1, "passing 9": 1}


class TestExpiry:
    @pytest.mark.parametrize("others", [True, False])
    def test_a_streamer_of_a_clock_that_was_ahead_is_cleared_in_time(
        self, store: SharedStats, clock: FakeClock, others: bool
    ) -> None:
        if others:
            store.update_viewers("here", 1)
        clock.pass_by(200)
        store.update_viewers("gone", 1)
        clock.pass_by(-100)
        assert "gone" in store.viewer_counts
        clock.pass_by(30 * 86400)
        store.update_viewers("gone", 1)
        clock.pass_by(-30 * 86400)
        for _ in range(4):
            assert "gone" in store.viewer_counts
            clock.pass_by(100)
            if others:
                store.update_viewers("here", 1)
        assert ("gone" in store.viewer_counts, "here" in store.viewer_counts) == (False, others)

    def test_a_streamer_without_updates_is_cleared(self, store: SharedStats, clock: FakeClock) -> None:
        store.update_viewers("gone", 1)
        store.add_trigger("gone", "keyword")
        store.increment_clips_today("gone")
        clock.pass_by(200)
        store.update_viewers("here", 1)
        clock.pass_by(100)
        assert set(store.viewer_counts) == {"gone", "here"}  # 300 s, and to the next whole second
        clock.pass_by(1)
        assert set(store.viewer_counts) == {"here"}
        assert store.own_numbers()[STREAMERS_EXPIRED] == 1
        assert (len(store.recent_triggers), store.get_clips_today("gone")) == (1, 1)

    @pytest.mark.parametrize("update", ["viewers", "velocity", "recording", "trigger", "clip"])
    def test_every_kind_of_update_keeps_a_streamer(self, store: SharedStats, clock: FakeClock, update: str) -> None:
        updates: dict[str, Callable[[], None]] = {
            "viewers": lambda: store.update_viewers("xQc", 5),
            "velocity": lambda: store.update_velocity("xQc", 5.0),
            "recording": lambda: store.update_recording_status("xQc", False),
            "trigger": lambda: store.add_trigger("xQc", "keyword"),
            "clip": lambda: store.increment_clips_today("xQc"),
        }
        store.update_viewers("xQc", 5)
        for _ in range(3):
            clock.pass_by(299)
            updates[update]()
        assert [row.updated for row in store.rows()] == [clock.now]

    def test_a_streamer_seen_again_starts_anew_even_if_nobody_looked(
        self, store: SharedStats, clock: FakeClock
    ) -> None:
        store.add_trigger("xQc", "keyword")
        clock.pass_by(400)
        store.add_trigger("xQc", "keyword")
        assert store.rows()[0].triggers["keyword"] == 1

    def test_who_has_expired_makes_room_at_the_limit(self, clock: FakeClock) -> None:
        store = SharedStats.create(clock=clock, limits=Limits(streamers=1))
        store.update_viewers("old", 1)
        with pytest.raises(InvalidUpdate):
            store.update_viewers("new", 1)
        clock.pass_by(301)
        store.update_viewers("new", 1)
        assert set(store.viewer_counts) == {"new"}

    @pytest.mark.parametrize("stale", [1, 1_500], ids=["one", "more than are looked at in one go"])
    def test_the_type_of_who_has_expired_makes_room_though_nobody_looked(self, clock: FakeClock, stale: int) -> None:
        store = SharedStats.create(clock=clock, limits=Limits(trigger_types=5))
        store.add_trigger("0", "fifth")
        for number in range(1, stale):
            store.update_viewers(f"{number}", 1)
        clock.pass_by(301)
        store.add_trigger("new", "sixth")
        assert [row.streamer for row in store.rows()] == ["new"]

    def test_a_writer_drops_who_has_expired_though_nobody_looked(self, store: SharedStats, clock: FakeClock) -> None:
        store.update_viewers("old", 1)
        clock.pass_by(301)
        store.add_trigger("new", "keyword")
        assert store.events == 2  # a clear, and the trigger

    def test_a_silent_streamer_goes_on_if_nobody_looked_and_begins_again_if_somebody_did(
        self, store: SharedStats, clock: FakeClock
    ) -> None:
        for looked in (False, True):
            store.reset_all()
            store.increment_clips_today("xQc")
            clock.pass_by(301)
            if looked:
                assert store.rows() == []
            store.update_viewers("xQc", 1)
            assert [(row.clips, row.viewers) for row in store.rows()] == [(0 if looked else 1, 1)]

    def test_a_writer_looks_at_few_of_many_who_expire(
        self, store: SharedStats, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looked: list[Row] = []
        is_stale = State._is_stale

        def counting(state: State, row: Row, now: float) -> bool:
            looked.append(row)
            return is_stale(state, row, now)

        for number in range(5 * STEP):
            store.update_viewers(f"{number}", 1)
        monkeypatch.setattr(State, "_is_stale", counting)
        clock.pass_by(200)
        for number in range(0, 5 * STEP, 2):
            store.update_viewers(f"{number}", 2)
        clock.pass_by(101)
        for _ in range(2):
            store.increment_clips_today("0")
            assert 0 < len(looked) <= FEW + 2  # and at the event's own row
            looked.clear()
        store.add_trigger("1", "of a type that is new")
        assert 0 < len(looked) <= FEW + 2
        looked.clear()
        # Nobody who has been looked at is looked at again before it may be stale; the rest is a reader's.
        assert len(store.rows()) == 5 * STEP // 2 + 1
        assert len(looked) <= 5 * STEP

    @pytest.mark.parametrize("most", [0, 1, 7])
    def test_no_more_rows_are_looked_at_than_are_asked_for(self, clock: FakeClock, most: int) -> None:
        state = State([], Limits(), 60, None, clock.now)
        for number in range(10):
            state.post(f"{number}", "viewers", 1, clock.now + number % 2)
        clock.pass_by(63)
        for gone in range(most, 10, most or 10):
            state.expire(clock.now, most)
            assert (len(state.rows), state.expired) == (10 - gone, gone)

    def test_who_has_expired_makes_room_though_many_others_are_looked_at_first(self, clock: FakeClock) -> None:
        others = [f"{number}" for number in range(STEP + 200)]
        store = SharedStats.create(clock=clock, limits=Limits(streamers=len(others) + 1))
        for name in ("old", *others):
            store.update_viewers(name, 1)
        clock.pass_by(200)
        for name in others:
            store.update_viewers(name, 2)
        clock.pass_by(101)
        store.update_viewers("new", 1)
        assert set(store.viewer_counts) == {*others, "new"}

    def test_0_is_never(self, clock: FakeClock) -> None:
        store = SharedStats.create(clock=clock, stale_after=0)
        store.update_viewers("xQc", 1)
        clock.pass_by(10 * 365 * 86400)
        assert store.viewer_counts == {"xQc": 1}

    @pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
    def test_a_time_that_is_none_is_refused(self, seconds: float) -> None:
        with pytest.raises(ValueError, match="stale_after: expected a finite number of seconds, 0 for never, got"):
            SharedStats.create(stale_after=seconds)


NUMBER = "expected a finite number of at least 0, got"
BAD_INPUT: dict[str, tuple[Callable[[SharedStats], None], str, Reason]] = {
    "empty name": (
        lambda s: s.update_viewers("", 1),
        "streamer: expected text of 1 to 128 characters, got ''",
        Reason.NAME,
    ),
    "long name": (
        lambda s: s.update_viewers("x" * 300, 1),
        f"streamer: expected text of 1 to 128 characters (this has 300), got '{'x' * 27}...{'x' * 28}'",
        Reason.NAME,
    ),
    "name that is not text": (lambda s: s.increment_clips_today(7), "streamer: expected text, got 7", Reason.NAME),  # type: ignore[arg-type]
    "name that cannot be hashed": (
        lambda s: s.clear_streamer_stats(["xQc"]),  # type: ignore[arg-type]
        "streamer: expected text, got ['xQc']",
        Reason.NAME,
    ),
    "lone surrogate": (
        lambda s: s.update_velocity("\ud800", 1.0),
        "streamer: expected text without lone surrogates, got '\\ud800'",
        Reason.NAME,
    ),
    "type that is not text": (
        lambda s: s.add_trigger("xQc", None),  # type: ignore[arg-type]
        "trigger_type: expected text, got None",
        Reason.NAME,
    ),
    "viewers -1": (lambda s: s.update_viewers("xQc", -1), f"viewers: {NUMBER} -1", Reason.NUMBER),
    "viewers nan": (lambda s: s.update_viewers("xQc", float("nan")), f"viewers: {NUMBER} nan", Reason.NUMBER),
    "viewers inf": (lambda s: s.update_viewers("xQc", float("inf")), f"viewers: {NUMBER} inf", Reason.NUMBER),
    "viewers None": (lambda s: s.update_viewers("xQc", None), f"viewers: {NUMBER} None", Reason.NUMBER),  # type: ignore[arg-type]
    "viewers many": (lambda s: s.update_viewers("xQc", "many"), f"viewers: {NUMBER} 'many'", Reason.NUMBER),  # type: ignore[arg-type]
    "viewers True": (lambda s: s.update_viewers("xQc", True), f"viewers: {NUMBER} True", Reason.NUMBER),
    "velocity -0.1": (lambda s: s.update_velocity("xQc", -0.1), f"chat_velocity: {NUMBER} -0.1", Reason.NUMBER),
    "velocity nan": (lambda s: s.update_velocity("xQc", float("nan")), f"chat_velocity: {NUMBER} nan", Reason.NUMBER),
    "recording yes": (
        lambda s: s.update_recording_status("xQc", "yes"),  # type: ignore[arg-type]
        "recording: expected True or False, got 'yes'",
        Reason.RECORDING,
    ),
    "details with a set": (
        lambda s: s.add_trigger("new", "new", {"who": {"a"}}),
        "details: expected a dict that JSON can hold (Object of type set is not JSON serializable), got {'who': {'a'}}",
        Reason.DETAILS,
    ),
    "details of a megabyte": (
        lambda s: s.add_trigger("new", "new", {"x": "y" * 1_000_000}),
        f"details: expected at most 4096 bytes as JSON (this has 1000008), got {{'x': '{'y' * 27}...{'y' * 28}'}}",
        Reason.DETAILS,
    ),
    "one streamer too many": (
        lambda s: s.add_trigger("third", "keyword"),
        "streamer: limit reached (2): 'third' refused (--limit.streamers)",
        Reason.STREAMERS,
    ),
    "one trigger type too many": (
        lambda s: s.add_trigger("xQc", "sixth"),
        "trigger_type: limit reached (5): 'sixth' refused (--limit.trigger-types)",
        Reason.TRIGGER_TYPES,
    ),
}


@pytest.mark.parametrize(("update", "message", "reason"), BAD_INPUT.values(), ids=BAD_INPUT)
class TestBadInput:
    @staticmethod
    def filled(*, strict: bool) -> SharedStats:
        store = SharedStats.create(clock=FakeClock(), limits=Limits(streamers=2, trigger_types=5), strict=strict)
        store.update_viewers("xQc", 45000)
        store.update_velocity("shroud", 10.5)
        store.add_trigger("xQc", "fifth", {"a": 1})
        return store

    def test_is_refused_with_a_clear_message_and_changes_nothing(
        self, update: Callable[[SharedStats], None], message: str, reason: Reason
    ) -> None:
        store = self.filled(strict=True)
        before = everything(store)
        with pytest.raises(InvalidUpdate) as refusal:
            update(store)
        assert str(refusal.value) == message
        assert isinstance(refusal.value, ValueError)
        assert everything(store) == before
        assert store.own_numbers()[UPDATES_REJECTED] == {each.value: int(each is reason) for each in Reason}

    def test_does_not_stop_the_drop_in_which_logs_it_and_goes_on(
        self,
        update: Callable[[SharedStats], None],
        message: str,
        reason: Reason,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        store = self.filled(strict=False)
        before = everything(store)
        with caplog.at_level(logging.WARNING, "exporter.store.shared"):
            update(store)
            update(store)
        assert [record.getMessage() for record in caplog.records] == [f"update refused: {message}"]
        assert everything(store) == before
        assert store.own_numbers()[UPDATES_REJECTED][reason] == 2


def test_a_trigger_type_that_nobody_has_any_more_makes_room(clock: FakeClock) -> None:
    store = SharedStats.create(clock=clock, limits=Limits(trigger_types=5))
    store.add_trigger("a", "fifth")
    store.add_trigger("b", "fifth")
    store.clear_streamer_stats("a")
    with pytest.raises(InvalidUpdate):
        store.add_trigger("a", "sixth")
    assert "a" not in store.viewer_counts
    store.clear_streamer_stats("b")
    store.add_trigger("a", "sixth")
    assert store.rows()[0].triggers == {**dict.fromkeys(TRIGGER_TYPES, 0), "sixth": 1}


@pytest.mark.parametrize(
    ("types", "message"),
    [
        (["", "x"], "trigger_types: expected text of 1 to 128 characters, got ''"),
        (["a", "b", "c"], "trigger_types: expected at most 2, got ['a', 'b', 'c']"),
    ],
)
def test_declared_types_are_checked(types: list[str], message: str) -> None:
    with pytest.raises(InvalidUpdate) as refusal:
        SharedStats.create(trigger_types=types, limits=Limits(trigger_types=2))
    assert str(refusal.value) == message


class TestVersions:
    def test_every_change_bumps_its_row_and_no_other(self, store: SharedStats) -> None:
        store.update_viewers("a", 1)
        store.update_viewers("b", 1)
        versions = {row.streamer: row.version for row in store.rows()}
        updates: list[Callable[[], None]] = [
            lambda: store.update_viewers("a", 1),
            lambda: store.update_velocity("a", 1.0),
            lambda: store.update_recording_status("a", True),
            lambda: store.add_trigger("a", "keyword"),
            lambda: store.increment_clips_today("a"),
        ]
        for update in updates:
            before = store.version
            update()
            after = {row.streamer: row.version for row in store.rows()}
            assert after["a"] == store.version > before
            assert after["b"] == versions["b"]

    def test_clearing_expiring_and_resetting_bump_the_store(self, store: SharedStats, clock: FakeClock) -> None:
        steps: list[Callable[[], None]] = [
            lambda: store.clear_streamer_stats("a"),
            lambda: clock.pass_by(301),
            store.reset_all,
        ]
        for step in steps:
            store.update_viewers("a", 1)
            before = store.version
            step()
            assert store.version > before
            assert store.rows() == []


class TestThreads:
    def test_what_one_thread_reports_is_seen_in_its_order(self) -> None:
        """A trigger, then viewers: whoever looks never sees the viewers without the trigger."""
        rounds = 300
        store = SharedStats.create()
        going = threading.Event()
        going.set()

        def write(name: str) -> None:
            for value in range(1, rounds + 1):
                store.add_trigger(name, "keyword", {"value": value})
                store.update_viewers(name, value)
                store.update_viewers("shared", value)
                store.increment_clips_today("shared")

        def look() -> int:
            looks, last = 0, 0
            while going.is_set():
                rows = {row.streamer: row for row in store.rows()}
                for name in rows.keys() - {"shared"}:
                    assert rows[name].triggers["keyword"] - (rows[name].viewers or 0) in (0, 1)
                clips = rows["shared"].clips if "shared" in rows else 0
                assert clips >= last
                last, looks = clips, looks + 1
            return looks

        with Switching(), ThreadPoolExecutor(5) as pool:
            readers = [pool.submit(look) for _ in range(2)]
            try:
                for writer in [pool.submit(write, name) for name in "abc"]:
                    writer.result(60)
            finally:
                going.clear()
            assert all(reader.result(60) for reader in readers)
        rows = {row.streamer: row for row in store.rows()}
        assert rows["shared"].clips == store.get_clips_today("shared") == 3 * rounds
        assert [(rows[name].triggers["keyword"], rows[name].viewers) for name in "abc"] == [(rounds, rounds)] * 3
        assert store.own_numbers()[UPDATES] == {"local": 3 * 4 * rounds, "http": 0}

    def test_an_update_from_within_an_update_does_not_lock_up(self) -> None:
        # As from a signal handler or a finalizer that runs while its own thread holds the lock.
        interrupted: list[SharedStats] = []

        def clock() -> float:
            if interrupted:
                interrupted.pop().update_viewers("inner", 1)
            return 1000.0

        store = SharedStats.create(clock=clock)
        interrupted.append(store)
        finished = threading.Thread(target=lambda: store.update_viewers("outer", 1), daemon=True)
        finished.start()
        finished.join(10)
        assert not finished.is_alive()
        assert set(store.viewer_counts) == {"inner", "outer"}

    @pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
    def test_a_signal_handler_may_report_and_emit(self) -> None:
        """In a process of its own, because a deadlock of its main thread would be one of this test run's."""
        code = textwrap.dedent("""
            import signal
            from exporter import emit_stats_update, shared_stats
            from exporter.store.emit import on_emit

            calls = {"handler": 0, "emit": 0}

            def count(name):
                calls[name] += 1

            def report():
                shared_stats.update_viewers("streamer", 1)
                shared_stats.update_viewers("streamer", -1)
                emit_stats_update()

            def handler(number, frame):
                count("handler")
                report()
                if calls["handler"] < 500:
                    signal.setitimer(signal.ITIMER_REAL, 0.0005)

            report()
            on_emit(lambda: count("emit"))
            signal.signal(signal.SIGALRM, handler)
            signal.setitimer(signal.ITIMER_REAL, 0.0005)
            rounds = 0
            while calls["handler"] < 500:
                report()
                on_emit(bool)()
                rounds += 1
            assert calls["emit"] == rounds + calls["handler"], (rounds, calls)
            print(shared_stats.viewer_counts)
        """)
        done = run_python(code, timeout=60)
        assert (done.returncode, done.stdout) == (0, "{'streamer': 1}\n"), done.stderr


def run_python(code: str, timeout: float | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment, timeout=timeout
    )


class TestSharedStore:
    def test_logs_and_goes_on_by_default(self) -> None:
        done = run_python("from exporter import shared_stats as s; s.update_viewers('x', -1); print(s.viewer_counts)")
        assert done.returncode == 0
        assert done.stdout == "{}\n"
        assert "update refused: viewers: expected a finite number of at least 0, got -1" in done.stderr

    def test_raises_when_it_is_told_to_be_strict(self) -> None:
        done = run_python(
            "from exporter import shared_stats as s; s.update_viewers('x', -1)", CLIPPER_EXPORTER_STRICT="1"
        )
        assert done.returncode == 1
        assert "InvalidUpdate: viewers: expected a finite number of at least 0, got -1" in done.stderr

    def test_takes_its_options_from_the_environment(self) -> None:
        code = (
            "from exporter import shared_stats as s; s.update_viewers('a', 1); s.update_viewers('b', 1);"
            " print(s.viewer_counts, *s.rows()[0].triggers)"
        )
        done = run_python(code, CLIPPER_EXPORTER_LIMIT_STREAMERS="1", CLIPPER_EXPORTER_STATS_TRIGGER_TYPES="raid")
        assert done.stdout == "{'a': 1} raid\n"

    def test_a_mistake_in_the_environment_is_told_and_does_not_stop_the_clipper(self) -> None:
        done = run_python(
            "from exporter import shared_stats as s; s.update_viewers('a', 1); print(s.viewer_counts)",
            CLIPPER_EXPORTER_LIMIT_STREAMERS="none",
            CLIPPER_EXPORTER_LIMIT_TRIGGER_TYPES="2",
        )
        assert done.stdout == "{'a': 1}\n"
        assert done.stderr == (
            "CLIPPER_EXPORTER_LIMIT_STREAMERS: 'none' is not a whole number of at least 1;"
            " the default is used instead\n"
            "CLIPPER_EXPORTER_STATS_TRIGGER_TYPES: 4 names are more than --limit.trigger-types (2);"
            " the default is used instead\n"
        )

    def test_importing_loads_no_web_server(self) -> None:
        heavy = ("uvicorn", "starlette", "prometheus_client", "asyncio", "http.client", "argparse")
        done = run_python(f"import sys, exporter; print([name for name in {heavy!r} if name in sys.modules])")
        assert done.stdout == "[]\n"
