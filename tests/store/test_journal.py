"""The journal, and the cursors of those who follow it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exporter import SharedStats
from exporter.store.journal import CLEARED, CLIPS, TRIGGERS, Changes, Journal
from exporter.store.validation import Limits
from tests.batches import apply
from tests.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> SharedStats:
    return SharedStats.create(clock=clock, stale_after=60)


def events(changes: Changes) -> list[tuple[str, str]]:
    return [(event.kind, event.streamer) for event in changes.events]


def gauges(changes: Changes) -> dict[str, dict[str, float]]:
    return {name: values for name, values in changes.gauges() if values}


def streamers(changes: Changes) -> list[str]:
    return changes.rows.column("streamer")


class TestJournal:
    def test_tells_the_events_after_a_version_oldest_first(self) -> None:
        journal = Journal()
        for version in (2, 3, 5, 8):
            journal.add(version, CLIPS, f"at {version}")
        for since, expected in ((0, [2, 3, 5, 8]), (2, [3, 5, 8]), (4, [5, 8]), (8, []), (9, [])):
            found, complete = journal.since(since)
            assert [event.version for event in found] == expected
            assert complete
        assert [event.number for event in journal.since(0)[0]] == [1, 2, 3, 4]
        assert journal.total == 4

    def test_says_when_events_are_missing(self) -> None:
        journal = Journal(capacity=3)
        for version in range(1, 6):
            journal.add(version * 10, TRIGGERS, "xQc")
            assert journal.total == version
        # Those of 10 and 20 made room: whoever knows 20 has missed nothing.
        for since, expected, complete in ((0, 3, False), (19, 3, False), (20, 3, True), (45, 1, True), (50, 0, True)):
            found, whole = journal.since(since)
            assert (len(found), whole) == (expected, complete), since

    def test_a_new_start_is_told_to_whoever_is_from_before(self) -> None:
        journal = Journal()
        journal.add(1, CLIPS, "xQc")
        journal.start_again(2)
        journal.add(3, CLIPS, "xQc")
        assert [(len(found), whole) for found, whole in map(journal.since, (0, 1, 2, 3))] == [
            (2, False),
            (1, False),
            (1, True),
            (0, True),
        ]


class TestCursor:
    def test_from_the_present_is_told_what_happens_from_then_on(self, store: SharedStats) -> None:
        store.update_viewers("a", 1)
        store.add_trigger("a", "keyword", {"n": 1})
        cursor = store.follow()
        changes = cursor.take()
        assert (events(changes), gauges(changes), len(changes.rows), changes.total) == ([], {}, 0, 1)
        store.update_velocity("a", 2.5)
        store.add_trigger("b", "keyword", {"n": 2})
        changes = cursor.take()
        assert events(changes) == [(TRIGGERS, "b")]
        assert [event.trigger.details for event in changes.events if event.trigger] == ['{"n":2}']
        assert gauges(changes) == {"chat_velocities": {"a": 2.5}}
        assert streamers(changes) == ["a", "b"]
        assert cursor.version == changes.version == store.version
        assert events(cursor.take()) == []

    def test_from_the_beginning_is_told_everything(self, store: SharedStats) -> None:
        for name in ("a", "b"):
            store.update_viewers(name, 1)
            store.increment_clips_today(name)
        store.clear_streamer_stats("a")
        changes = store.follow(0).take()
        assert not changes.start_again
        assert events(changes) == [(CLIPS, "a"), (CLIPS, "b"), (CLEARED, "a")]
        assert [event.row for event in changes.events] == [None, None, 1]
        assert streamers(changes) == ["b"]
        assert changes.clips_today == {"a": 1, "b": 1}

    def test_two_are_told_the_same_each_in_its_time(self, store: SharedStats) -> None:
        quick, slow = store.follow(), store.follow()
        told = []
        for number in range(3):
            store.update_viewers("a", number)
            store.increment_clips_today("a")
            changes = quick.take()
            assert gauges(changes) == {"viewer_counts": {"a": number}}
            told += changes.events
        changes = slow.take()
        assert changes.events == told
        assert gauges(changes) == {"viewer_counts": {"a": 2}}

    def test_is_told_of_a_gauge_that_was_reported_again_with_the_same_value(self, store: SharedStats) -> None:
        cursor = store.follow()
        for _ in range(2):
            store.update_viewers("a", 1)
            assert gauges(cursor.take()) == {"viewer_counts": {"a": 1}}

    def test_starts_again_when_it_missed_events(self, store: SharedStats) -> None:
        store._state.journal = Journal(capacity=3)
        store.update_viewers("quiet", 1)
        cursor, present = store.follow(0), store.follow()
        present.take()
        for _ in range(3):
            store.increment_clips_today("a")
        assert not cursor.take().start_again
        for _ in range(4):
            store.increment_clips_today("b")
        changes = cursor.take()
        assert changes.start_again
        assert streamers(changes) == ["quiet", "a", "b"]
        assert changes.clips_today == {"a": 3, "b": 4}
        assert events(changes) == [(CLIPS, "b")] * 3
        assert changes.total == 7
        assert not cursor.take().start_again

    @pytest.mark.parametrize("cause", ["reset", "midnight", "another store"])
    def test_starts_again_when_more_changed_than_events_tell(
        self, store: SharedStats, clock: FakeClock, cause: str
    ) -> None:
        store.increment_clips_today("a")
        cursor = store.follow()
        if cause == "reset":
            store.reset_all()
        elif cause == "midnight":
            clock.pass_by(2 * 86_400)
        else:
            cursor = store.follow(store.version + 10)
        changes = cursor.take()
        assert changes.start_again
        assert changes.clips_today == ({"a": 1} if cause == "another store" else {})
        assert not cursor.take().start_again

    def test_is_told_who_is_cleared_resets_and_expires(self, store: SharedStats, clock: FakeClock) -> None:
        cursor = store.follow()
        for name in ("cleared", "reset", "expired"):
            store.update_viewers(name, 1)
        store.clear_streamer_stats("cleared")
        assert events(cursor.take()) == [(CLEARED, "cleared")]
        assert set(store.viewer_counts) == {"reset", "expired"}
        clock.pass_by(40)
        store.update_viewers("reset", 1)
        clock.pass_by(40)
        changes = cursor.take()
        assert (events(changes), streamers(changes)) == ([(CLEARED, "expired")], ["reset"])
        store.reset_all()
        changes = cursor.take()
        assert (events(changes), streamers(changes), changes.start_again) == ([(CLEARED, "reset")], [], True)

    def test_upto_a_version_tells_events_up_to_it_and_the_rest_later(self, store: SharedStats) -> None:
        cursor = store.follow()
        versions = []
        for number in range(4):
            store.increment_clips_today(f"{number}")
            versions.append(store.version)
        store.update_viewers("0", 9)
        changes = cursor.take(versions[1])
        assert events(changes) == [(CLIPS, "0"), (CLIPS, "1")]
        assert (cursor.version, changes.version, changes.total) == (versions[1], versions[1], 4)
        # The newest gauge came at once, and comes again to a follower that goes on from there.
        assert gauges(changes) == gauges(cursor.take(versions[2])) == {"viewer_counts": {"0": 9}}
        assert events(cursor.take(versions[2])) == []
        assert (events(cursor.take(versions[0])), cursor.version) == ([], versions[2])
        assert events(cursor.take()) == [(CLIPS, "3")]

    def test_upto_is_of_no_use_to_whoever_starts_again(self, store: SharedStats) -> None:
        cursor = store.follow(0)
        store.increment_clips_today("a")
        version = store.version
        store.reset_all()
        store.increment_clips_today("b")
        changes = cursor.take(version)
        assert (changes.start_again, changes.version, streamers(changes)) == (True, store.version, ["b"])

    def test_that_is_set_back_is_told_again(self, store: SharedStats) -> None:
        cursor = store.follow()
        store.update_viewers("a", 1)
        store.add_trigger("a", "keyword")
        before = cursor.version
        first = cursor.take()
        store.clear_streamer_stats("a")
        cursor.version = before
        assert events(cursor.take()) == [*events(first), (CLEARED, "a")]
        assert events(cursor.take()) == []

    def test_gauges_are_those_reported_since(self, store: SharedStats) -> None:
        cursor = store.follow()
        store.update_viewers("a", 1)
        store.update_velocity("b", 1.5)
        store.update_recording_status("c", False)
        cursor.take()
        store.update_viewers("b", 2)
        store.add_trigger("a", "keyword")
        store.increment_clips_today("c")
        changes = cursor.take()
        assert streamers(changes) == ["a", "b", "c"]
        assert gauges(changes) == {"viewer_counts": {"b": 2}}
        assert json.loads(changes.body()) == {
            "viewer_counts": {"b": 2},
            "triggers": [
                {"streamer": "a", "type": "keyword", "timestamp": "2026-01-17T10:30:00.000000+00:00", "details": {}}
            ],
            "clips": [{"streamer": "c"}],
        }

    def test_a_streamer_seen_again_has_no_gauges_of_before(self, store: SharedStats) -> None:
        cursor = store.follow()
        store.update_velocity("a", 1.5)
        store.clear_streamer_stats("a")
        store.update_viewers("a", 2)
        changes = cursor.take()
        assert (events(changes), gauges(changes)) == ([(CLEARED, "a")], {"viewer_counts": {"a": 2}})

    def test_a_gauge_of_a_row_that_is_gone_is_told_to_nobody(self, store: SharedStats) -> None:
        store.update_viewers("a", 1)
        store.rows()
        cursor = store.follow()
        store.update_viewers("a", 2)
        store.clear_streamer_stats("a")
        assert (gauges(cursor.take()), store.viewer_counts) == ({}, {})

    def test_a_clip_that_another_name_made_room_for_is_told(self, clock: FakeClock) -> None:
        store = SharedStats.create(clock=clock, limits=Limits(streamers=1))
        store.increment_clips_today("a")
        store.clear_streamer_stats("a")
        cursor = store.follow()
        store.increment_clips_today("b")
        changes = cursor.take()
        assert events(changes) == [(CLIPS, "b"), (CLEARED, "a")]
        assert [event.row for event in changes.events] == [None, None]
        assert changes.clips_today == {"b": 1, "a": 0}

    def test_ids_are_those_learned_since(self, store: SharedStats) -> None:
        def clips(*ids: str) -> dict[str, Any]:
            return {"source": "s", "clips": [{"streamer": "a", "id": each} for each in ids]}

        cursor = store.follow()
        apply(store, clips("1", "2"))
        changes = cursor.take()
        assert (sorted(changes.ids), changes.ids_total, cursor.ids) == ([("s", "1"), ("s", "2")], 2, 2)
        apply(store, clips("2", "3"))
        changes = cursor.take()
        assert (changes.ids, changes.ids_total) == ([("s", "3")], 3)
        assert cursor.take().ids == []
        cursor.ids = 0
        assert sorted(cursor.take().ids) == [("s", "1"), ("s", "2"), ("s", "3")]
        cursor.ids = 2
        assert cursor.take().ids == [("s", "3")]
