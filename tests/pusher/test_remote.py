from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import exporter
from exporter import InvalidUpdate, RemoteStats, SharedStats, emit_stats_update
from exporter.metrics import STREAMERS, UPDATES_REJECTED
from exporter.pusher.transport import Answer
from exporter.store.validation import Limits
from tests.clock import FakeClock
from tests.fake_exporter import DrivenRemote, FakeExporter, Incident, answer_lost, says, unreachable
from tests.waiting import wait_for

URL = "http://exporter.invalid:9309"
NOTHING_DROPPED = {"queue_full": 0, "refused": 0, "closed": 0}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def far(clock: FakeClock) -> FakeExporter:
    return FakeExporter(clock)


def make(clock: FakeClock, far: FakeExporter, **options: Any) -> DrivenRemote:
    options = {"strict": True, "jitter": lambda: 1.0, "clock": clock, "monotonic": clock} | options
    return DrivenRemote(URL, transport=far, **options)


@pytest.fixture
def remote(clock: FakeClock, far: FakeExporter) -> DrivenRemote:
    return make(clock, far)


def counted(store: SharedStats) -> dict[str, tuple[Any, ...]]:
    return {row.streamer: (row.viewers, row.velocity, row.recording, row.triggers, row.clips) for row in store.rows()}


def write_everything(remote: RemoteStats) -> None:
    remote.update_viewers("xQc", 45000)
    remote.update_velocity("xQc", 125.5)
    remote.update_recording_status("xQc", True)
    remote.add_trigger("xQc", "viewer_spike", {"spike": 15000})
    remote.increment_clips_today("xQc")
    remote.update_viewers('q"\\\n\U0001f3ae', 7)


class TestDelivery:
    def test_what_is_written_arrives(self, clock: FakeClock, far: FakeExporter, remote: DrivenRemote) -> None:
        write_everything(remote)
        remote.deliver(clock)
        assert far.store.get_all_stats() == remote.get_all_stats()
        assert counted(far.store) == counted(remote)
        assert len(far.bodies) == 1

    def test_what_is_read_is_what_this_process_wrote(self, far: FakeExporter, remote: DrivenRemote) -> None:
        far.store.update_viewers("of another process", 1)
        write_everything(remote)
        assert remote.viewer_counts == {"xQc": 45000, 'q"\\\n\U0001f3ae': 7}
        assert remote.chat_velocities == {"xQc": 125.5}
        assert remote.recording_status == {"xQc": True}
        assert remote.get_clips_today("xQc") == 1
        assert [entry["details"] for entry in remote.recent_triggers] == [{"spike": 15000}]

    def test_of_a_gauge_the_newest_is_sent(self, clock: FakeClock, far: FakeExporter, remote: DrivenRemote) -> None:
        for velocity in range(1000):
            remote.update_velocity("xQc", velocity)
        remote.deliver(clock)
        assert [body["chat_velocities"] for body in far.bodies] == [{"xQc": 999}]
        remote.update_viewers("xQc", 5)
        remote.deliver(clock)
        assert [set(body) for body in far.bodies[1:]] == [{"source", "viewer_counts"}]

    def test_of_an_outage_the_newest_gauges_and_every_event_remain(
        self, clock: FakeClock, far: FakeExporter, remote: DrivenRemote
    ) -> None:
        far.incidents.extend([unreachable] * 20)
        for number in range(20):
            remote.update_viewers("xQc", number)
            remote.add_trigger("xQc", "keyword", {"number": number})
            remote.step(clock)
        remote.deliver(clock)
        assert far.store.recent_triggers == remote.recent_triggers
        assert len({entry["timestamp"] for entry in far.store.recent_triggers}) == 20
        assert counted(far.store) == counted(remote)
        assert far.bodies[-1]["viewer_counts"] == {"xQc": 19}

    def test_an_event_is_counted_once_however_often_it_is_sent(
        self, clock: FakeClock, far: FakeExporter, remote: DrivenRemote
    ) -> None:
        far.incidents.extend([answer_lost, unreachable, answer_lost])
        write_everything(remote)
        remote.deliver(clock)
        assert len(far.bodies) == 4
        assert counted(far.store) == counted(remote)

    def test_many_events_are_sent_in_several_batches_without_a_pause(
        self, clock: FakeClock, far: FakeExporter, remote: DrivenRemote
    ) -> None:
        for number in range(2500):
            remote.add_trigger("xQc", "keyword", {"number": number})
        remote.deliver(clock)
        assert [len(body["triggers"]) for body in far.bodies] == [1000, 1000, 500]
        assert remote.pauses == [0, 0, 0.5]
        assert counted(far.store) == counted(remote)

    def test_many_gauges_are_sent_in_several_batches(
        self, clock: FakeClock, far: FakeExporter, remote: DrivenRemote
    ) -> None:
        for number in range(12_000):
            remote.update_viewers(str(number), number)
        remote.deliver(clock)
        assert [len(body["viewer_counts"]) for body in far.bodies] == [10_000, 2000]
        assert far.store.viewer_counts == remote.viewer_counts

    def test_batches_are_an_interval_apart(self, clock: FakeClock, far: FakeExporter, remote: DrivenRemote) -> None:
        remote.update_viewers("xQc", 1)
        assert remote.step(clock) == 0.5
        clock.pass_by(-0.25)
        remote.update_viewers("xQc", 2)
        assert remote._pusher.sender.step() == pytest.approx(0.25)
        assert far.store.viewer_counts == {"xQc": 1}
        clock.pass_by(0.25)
        remote.step(clock)
        assert far.store.viewer_counts == {"xQc": 2}


class TestClearing:
    def test_what_was_counted_before_a_clear_is_cleared(
        self, clock: FakeClock, far: FakeExporter, remote: DrivenRemote
    ) -> None:
        write_everything(remote)
        remote.clear_streamer_stats("xQc")
        remote.deliver(clock)
        assert set(counted(far.store)) == {'q"\\\n\U0001f3ae'}
        assert far.store.recent_triggers == remote.recent_triggers
        assert far.store.get_clips_today("xQc") == 1

    def test_what_was_counted_after_a_clear_is_kept(
        self, clock: FakeClock, far: FakeExporter, remote: DrivenRemote
    ) -> None:
        far.incidents.extend([answer_lost] * 3)
        write_everything(remote)
        remote.clear_streamer_stats("xQc")
        remote.add_trigger("xQc", "raid")
        remote.update_viewers("xQc", 3)
        remote.deliver(clock)
        assert counted(far.store) == counted(remote)
        assert far.store.viewer_counts["xQc"] == 3

    def test_a_reset_clears_what_this_process_wrote(
        self, clock: FakeClock, far: FakeExporter, remote: DrivenRemote
    ) -> None:
        far.store.update_viewers("of another process", 1)
        write_everything(remote)
        remote.reset_all()
        remote.deliver(clock)
        assert remote.get_all_stats()["clips_today"] == {}
        assert set(counted(far.store)) == {"of another process"}

    def test_a_streamer_stays_until_it_is_cleared(
        self, clock: FakeClock, far: FakeExporter, remote: DrivenRemote
    ) -> None:
        remote.update_viewers("xQc", 1)
        begin = clock.now
        while clock.now < begin + 3600:
            remote.step(clock)
            assert far.store.viewer_counts == {"xQc": 1}

    def test_a_streamer_leaves_when_it_is_stale_if_that_is_asked_for(self, clock: FakeClock, far: FakeExporter) -> None:
        remote = make(clock, far, stale_after=10)
        remote.update_viewers("xQc", 1)
        begin = clock.now
        while clock.now < begin + 12:
            remote.step(clock)
        assert remote.viewer_counts == far.store.viewer_counts == {}


class TestTrouble:
    @pytest.mark.parametrize(
        ("incident", "pauses"),
        [
            (unreachable, [0.1, 0.2, 0.4, 0.8, 1, 1, 1, 1]),
            (says(503), [0.25, 0.5, 1, 2, 4, 8, 15, 15]),
            (says(429, retry_after=3), [3, 3, 3, 3, 4, 8, 15, 15]),
            (says(503, retry_after=99_999), [60] * 8),
            (says(408), [0.25, 0.5, 1, 2, 4, 8, 15, 15]),
            (says(401), [5, 10, 20, 40, 60, 60, 60, 60]),
            (says(403), [5, 10, 20, 40, 60, 60, 60, 60]),
            (says(404), [5, 10, 20, 40, 60, 60, 60, 60]),
            (says(302), [5, 10, 20, 40, 60, 60, 60, 60]),
            (says(200, ""), [0.1, 0.2, 0.4, 0.8, 1, 1, 1, 1]),
            (says(200, "<html>"), [5, 10, 20, 40, 60, 60, 60, 60]),
            (says(200, '{"instance": 7}'), [5, 10, 20, 40, 60, 60, 60, 60]),
            (says(400, "plain HTTP was sent to a TLS port"), [5, 10, 20, 40, 60, 60, 60, 60]),
        ],
    )
    def test_is_waited_out(
        self, clock: FakeClock, far: FakeExporter, remote: DrivenRemote, incident: Incident, pauses: list[float]
    ) -> None:
        far.incidents.extend([incident] * len(pauses))
        write_everything(remote)
        remote.deliver(clock)
        assert remote.pauses[:-1] == pauses
        assert counted(far.store) == counted(remote)
        assert remote.dropped == NOTHING_DROPPED
        assert [body["triggers"] for body in far.bodies] == [far.bodies[0]["triggers"]] * (len(pauses) + 1)

    def test_smaller_batches_are_tried_and_larger_ones_again(
        self, clock: FakeClock, far: FakeExporter, remote: DrivenRemote
    ) -> None:
        far.incidents.extend([unreachable] * 7)
        for number in range(300):
            remote.add_trigger("xQc", "keyword", {"number": number})
        remote.deliver(clock)
        assert [len(body["triggers"]) for body in far.bodies] == [300, 150, 75, 37, 18, 16, 16, 16, 32, 64, 128, 60]
        assert far.store.recent_triggers == remote.recent_triggers
        assert counted(far.store) == counted(remote)

    def test_waits_are_halved_at_random(self, clock: FakeClock, far: FakeExporter) -> None:
        chance = iter([0.0, 0.5, 1.0])
        remote = make(clock, far, jitter=lambda: next(chance))
        far.incidents.extend([unreachable] * 3)
        remote.update_viewers("xQc", 1)
        remote.deliver(clock)
        assert remote.pauses[:3] == [pytest.approx(0.05), pytest.approx(0.15), pytest.approx(0.4)]

    def test_waits_begin_anew_after_a_success(self, clock: FakeClock, far: FakeExporter, remote: DrivenRemote) -> None:
        for _ in range(2):
            far.incidents.extend([unreachable] * 3)
            remote.update_viewers("xQc", 1)
            remote.deliver(clock)
        assert remote.pauses == [0.1, 0.2, 0.4, 0.5] * 2

    def test_is_told_once_in_a_minute(
        self, clock: FakeClock, far: FakeExporter, remote: DrivenRemote, caplog: pytest.LogCaptureFixture
    ) -> None:
        far.incidents.extend([unreachable] * 100)
        remote.update_viewers("xQc", 1)
        while len(far.incidents) > 55:
            remote.step(clock)
        assert [record.getMessage() for record in caplog.records] == [
            "the exporter cannot be reached: connection refused; updates wait and are sent again later"
        ]

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            (
                Answer(401, '{"error": "expected the token", "details": ["POST /api/stats"]}'),
                "status 401 (expected the token; POST /api/stats)",
            ),
            (Answer(404, "<h1>Not here</h1>\n"), "status 404 (<h1>Not here</h1>)"),
            (Answer(404, ""), "status 404"),
            (Answer(301, "x" * 5000), f"status 301 ({'x' * 300})"),
            (Answer(404, '{"error": 1, "details": {}}'), 'status 404 ({"error": 1, "details": {}})'),
        ],
    )
    def test_says_what_the_exporter_said(
        self,
        *,
        clock: FakeClock,
        far: FakeExporter,
        caplog: pytest.LogCaptureFixture,
        answer: Answer,
        said: str,
    ) -> None:
        remote = make(clock, far)
        far.incidents.append(lambda _, __: answer)
        remote.update_viewers("xQc", 1)
        remote.step(clock)
        assert (
            f"the answer is not that of an exporter that accepts pushes from here: {said}; updates wait" in caplog.text
        )

    def test_of_a_kind_that_nobody_thought_of_does_not_end_the_sending(
        self, clock: FakeClock, far: FakeExporter, remote: DrivenRemote
    ) -> None:
        def broken(_: FakeExporter, __: bytes) -> Answer:
            raise ZeroDivisionError

        far.incidents.append(broken)
        write_everything(remote)
        with pytest.raises(ZeroDivisionError):
            remote.step(clock)
        remote.deliver(clock)
        assert counted(far.store) == counted(remote)


class TestRefusals:
    def test_one_bad_event_does_not_take_the_others_with_it(
        self, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        far = FakeExporter(clock, Limits(details_bytes=20))
        remote = make(clock, far)
        for number in range(100):
            remote.add_trigger("xQc", "keyword", {"number": number} | ({"long": "x" * 20} if number == 37 else {}))
        remote.update_viewers("xQc", 5)
        remote.deliver(clock)
        assert remote.dropped == {"queue_full": 0, "refused": 1, "closed": 0}
        assert far.store.rows()[0].triggers["keyword"] == 99
        assert far.store.viewer_counts == {"xQc": 5}
        assert [entry["details"]["number"] for entry in far.store.recent_triggers] == list(range(99, 79, -1))
        assert len(far.bodies) < 20
        assert (
            "dropped an update that the exporter refused: status 422 (nothing was applied;"
            " triggers[0].details: expected at most 20 bytes as JSON" in caplog.text
        )

    def test_a_trigger_from_the_future_is_refused(self, clock: FakeClock, far: FakeExporter) -> None:
        ahead = FakeClock(clock.now + 61)
        remote = DrivenRemote(URL, clock=ahead, monotonic=clock, transport=far, strict=True)
        write_everything(remote)
        remote.deliver(clock)
        assert remote.dropped["refused"] == 1
        assert far.store.viewer_counts == remote.viewer_counts
        assert far.store.get_clips_today("xQc") == 1

    def test_refused_gauges_are_held_back_until_all_are_sent_again(self, clock: FakeClock) -> None:
        far = FakeExporter(clock, Limits(streamers=2))
        remote = make(clock, far)
        for name in ("a", "b", "c"):
            remote.update_viewers(name, 1)
        remote.deliver(clock)
        assert far.store.viewer_counts == {"a": 1, "b": 1}
        sent = len(far.bodies)
        for name in ("a", "b", "c"):
            remote.update_viewers(name, 2)
        remote.deliver(clock)
        assert [body["viewer_counts"] for body in far.bodies[sent:]] == [{"a": 2, "b": 2}]
        remote.clear_streamer_stats("a")
        remote.deliver(clock)
        clock.pass_by(60)
        remote.step(clock)
        assert far.store.viewer_counts == remote.viewer_counts == {"b": 2, "c": 2}
        assert remote.dropped["refused"] == 1

    def test_a_batch_that_is_too_large_is_sent_in_parts(
        self, clock: FakeClock, far: FakeExporter, remote: DrivenRemote
    ) -> None:
        def small(exporter: FakeExporter, body: bytes) -> Answer:
            exporter.incidents.append(small)
            return Answer(413, "<html>too large</html>") if len(body) > 1000 else exporter.answer(body)

        far.incidents.append(small)
        for number in range(50):
            remote.update_viewers(f"streamer {number}", number)
            remote.add_trigger(f"streamer {number}", "keyword")
        remote.deliver(clock)
        assert counted(far.store) == counted(remote)
        assert remote.dropped == NOTHING_DROPPED

    def test_what_is_left_after_trouble_amid_the_parts_is_sent_later(self, clock: FakeClock) -> None:
        far = FakeExporter(clock, Limits(details_bytes=20))
        remote = make(clock, far)
        for number in range(8):
            remote.add_trigger("xQc", "keyword", {"long": "x" * 20} if number == 3 else None)
        far.incidents.extend([says(422, '{"error": "no", "details": []}'), FakeExporter.answer, unreachable])
        far.incidents.extend([FakeExporter.answer] * 2 + [answer_lost])
        remote.deliver(clock)
        assert far.store.rows()[0].triggers["keyword"] == 7
        assert remote.dropped["refused"] == 1


class TestBounds:
    def test_of_too_many_events_the_oldest_are_dropped_and_counted(self, clock: FakeClock, far: FakeExporter) -> None:
        remote = make(clock, far, max_events=10)
        far.incidents.append(unreachable)
        for number in range(25):
            remote.add_trigger("xQc", "keyword", {"number": number})
            if number == 5:
                remote.step(clock)
        remote.deliver(clock)
        assert remote.dropped == {"queue_full": 15, "refused": 0, "closed": 0}
        assert far.store.rows()[0].triggers["keyword"] == 10
        assert [entry["details"]["number"] for entry in far.store.recent_triggers] == list(range(24, 14, -1))

    def test_what_is_under_way_counts(self, clock: FakeClock, far: FakeExporter) -> None:
        remote = make(clock, far, max_events=2)

        def meanwhile(_: FakeExporter, __: bytes) -> Answer:
            for number in range(3):
                remote.add_trigger("xQc", "raid", {"number": number})
            raise ConnectionError("reset")

        far.incidents.append(meanwhile)
        remote.add_trigger("xQc", "keyword")
        remote.deliver(clock)
        assert remote.dropped["queue_full"] == 2
        assert [entry["type"] for entry in far.store.recent_triggers] == ["raid", "keyword"]

    def test_gauges_wait_for_a_clear_that_is_still_to_be_sent(
        self, clock: FakeClock, far: FakeExporter, remote: DrivenRemote
    ) -> None:
        remote.add_trigger("xQc", "keyword")
        remote.clear_streamer_stats("xQc")
        remote.update_viewers("xQc", 5)
        remote.step(clock)
        assert far.store.viewer_counts == {}
        remote.deliver(clock)
        assert far.store.viewer_counts == {"xQc": 5}


class TestRestarts:
    def test_gauges_are_sent_again_and_events_are_not(
        self, clock: FakeClock, far: FakeExporter, remote: DrivenRemote
    ) -> None:
        write_everything(remote)
        remote.deliver(clock)
        begin = clock.now
        far.restart()
        while far.store.viewer_counts != remote.viewer_counts:
            remote.step(clock)
        assert clock.now - begin <= 2
        assert far.store.chat_velocities == remote.chat_velocities
        assert far.store.recording_status == remote.recording_status
        assert far.store.recent_triggers == []

    def test_are_survived_however_long_they_take(
        self, clock: FakeClock, far: FakeExporter, remote: DrivenRemote
    ) -> None:
        write_everything(remote)
        remote.deliver(clock)
        far.restart()
        far.incidents.extend([unreachable] * 500)
        while far.incidents:
            remote.step(clock)
        begin = clock.now
        while far.store.viewer_counts != remote.viewer_counts:
            remote.step(clock)
        assert clock.now - begin <= 2

    def test_are_noticed_amid_trouble(self, clock: FakeClock, far: FakeExporter, remote: DrivenRemote) -> None:
        write_everything(remote)
        remote.deliver(clock)
        far.restart()
        refused = says(422, '{"error": "no", "details": []}')
        far.incidents.extend([refused, FakeExporter.answer, unreachable])
        remote.add_trigger("xQc", "raid")
        remote.update_viewers("xQc", 1)
        remote.deliver(clock)
        remote.step(clock)
        assert far.store.viewer_counts == remote.viewer_counts

    def test_a_quiet_process_asks_once_in_a_second_and_sends_all_once_in_a_minute(
        self, clock: FakeClock, far: FakeExporter, remote: DrivenRemote
    ) -> None:
        write_everything(remote)
        remote.deliver(clock)
        begin = clock.now
        while clock.now < begin + 121:
            remote.step(clock)
        quiet = far.bodies[1:]
        whole = [body for body in quiet if "viewer_counts" in body]
        assert len(whole) == 2
        assert all(body["viewer_counts"] == remote.viewer_counts for body in whole)
        assert not any("triggers" in body or "clips" in body for body in quiet)
        assert 110 <= len(quiet) <= 125
        assert far.store.own_numbers()[STREAMERS] == 2


_names = st.sampled_from(["xQc", "shroud"])
_calls: st.SearchStrategy[tuple[str, tuple[Any, ...]]] = st.one_of(
    st.tuples(st.just("update_viewers"), st.tuples(_names, st.integers(0, 9))),
    st.tuples(st.just("update_velocity"), st.tuples(_names, st.floats(0, 9))),
    st.tuples(st.just("update_recording_status"), st.tuples(_names, st.booleans())),
    st.tuples(st.just("add_trigger"), st.tuples(_names, st.sampled_from(["keyword", "raid"]))),
    st.tuples(st.just("increment_clips_today"), st.tuples(_names)),
    st.tuples(st.just("clear_streamer_stats"), st.tuples(_names)),
    st.tuples(st.just("reset_all"), st.just(())),
)
_steps = st.sampled_from([unreachable, answer_lost, says(503), says(401), FakeExporter.answer]).map(
    lambda incident: ("step", (incident,))
)


@given(st.lists(_calls | _steps, max_size=40))
def test_whatever_is_lost_on_the_way_the_exporter_ends_with_what_was_written(
    calls: list[tuple[str, tuple[Any, ...]]],
) -> None:
    clock = FakeClock()
    far = FakeExporter(clock)
    remote = make(clock, far)
    for name, arguments in calls:
        if name == "step":
            far.incidents.append(arguments[0])
            remote.step(clock)
        else:
            getattr(remote, name)(*arguments)
    far.incidents.clear()
    remote.deliver(clock)
    assert counted(far.store) == counted(remote)
    assert remote.dropped == NOTHING_DROPPED


class Blocked:
    """A transport that holds every request until it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.leave = threading.Event()

    def __call__(self, _: bytes) -> Answer:
        self.entered.set()
        assert self.leave.wait(15)
        return Answer(200, '{"applied": 0, "duplicates": 0, "instance": "x"}')


def push_threads() -> int:
    return sum(thread.name == "clipper-exporter-push" for thread in threading.enumerate())


class TestThread:
    def test_starts_with_the_first_change_and_ends_with_close(self, far: FakeExporter) -> None:
        before = push_threads()
        remote = RemoteStats(URL, transport=far)
        assert push_threads() == before
        with remote:
            remote.update_viewers("xQc", 1)
            assert push_threads() == before + 1
        assert push_threads() == before
        assert far.store.viewer_counts == {"xQc": 1}

    def test_writers_never_wait_for_the_network(self) -> None:
        blocked = Blocked()
        with RemoteStats(URL, transport=blocked) as remote:
            try:
                remote.update_viewers("xQc", 0)
                assert blocked.entered.wait(15)
                for number in range(1000):  # in this thread: were one of them to wait, the test would
                    remote.update_viewers("xQc", number)
                    remote.add_trigger("xQc", "keyword")
                assert remote.viewer_counts == {"xQc": 999}
                assert not remote.flush(0.01)
            finally:
                blocked.leave.set()
            assert remote.flush(15)

    def test_flush_waits_for_what_was_written_before(self, clock: FakeClock, far: FakeExporter) -> None:
        with RemoteStats(URL, transport=far, clock=clock, interval=3600) as remote:
            for number in range(5):
                write_everything(remote)
                assert remote.flush(15)
                assert far.store.rows()[0].clips == number + 1

    def test_flush_of_nothing_has_nothing_to_wait_for(self, far: FakeExporter) -> None:
        assert RemoteStats(URL, transport=far).flush(0)
        assert far.bodies == []

    def test_emitting_sends_now(self, clock: FakeClock, far: FakeExporter) -> None:
        with RemoteStats(URL, transport=far, clock=clock, interval=3600) as remote:
            remote.update_viewers("xQc", 1)
            wait_for(lambda: far.store.viewer_counts == {"xQc": 1})
            remote.update_viewers("xQc", 2)
            emit_stats_update()
            wait_for(lambda: far.store.viewer_counts == {"xQc": 2})
        emit_stats_update()

    def test_what_has_not_arrived_at_the_close_is_counted_and_told(
        self, far: FakeExporter, caplog: pytest.LogCaptureFixture
    ) -> None:
        far.incidents.extend([unreachable] * 1000)
        remote = RemoteStats(URL, transport=far)
        for _ in range(3):
            remote.add_trigger("xQc", "keyword")
        remote.close(0.01)
        assert remote.dropped == {"queue_full": 0, "refused": 0, "closed": 3}
        assert "3 triggers, clips and clears were not delivered, and are dropped" in caplog.text
        remote.increment_clips_today("xQc")
        assert remote.dropped["closed"] == 4
        assert remote.get_clips_today("xQc") == 1
        remote.close()

    def test_tells_what_was_dropped_because_too_many_wait(self, caplog: pytest.LogCaptureFixture) -> None:
        blocked = Blocked()
        with RemoteStats(URL, transport=blocked, max_events=2) as remote:
            try:
                for _ in range(5):
                    remote.add_trigger("xQc", "keyword")
            finally:
                blocked.leave.set()
            told = "of the oldest triggers, clips and clears"
            wait_for(lambda: f"the queue is full: dropped {remote.dropped['queue_full']} {told}" in caplog.text)

    def test_goes_on_after_a_fault_of_its_own(
        self, clock: FakeClock, far: FakeExporter, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(_: FakeExporter, __: bytes) -> Answer:
            raise ZeroDivisionError

        far.incidents.append(broken)
        with RemoteStats(URL, transport=far, clock=clock) as remote:
            remote.update_viewers("xQc", 1)
            wait_for(lambda: "unexpected error while sending" in caplog.text)
            assert remote.flush(15)
        assert far.store.viewer_counts == {"xQc": 1}

    def test_many_threads_write_and_nothing_is_lost(self, clock: FakeClock, far: FakeExporter) -> None:
        with RemoteStats(URL, transport=far, clock=clock, interval=0.001) as remote:

            def write(name: str) -> None:
                for number in range(300):
                    remote.add_trigger(name, "keyword")
                    remote.add_trigger("shared", "keyword")
                    remote.update_viewers("shared", number)

            threads = [threading.Thread(target=write, args=(str(number),)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
            assert remote.flush(15)
            assert counted(far.store) == counted(remote)
            assert counted(remote)["shared"][3]["keyword"] == 2400


class TestInterface:
    def test_is_a_shared_stats(self, remote: DrivenRemote) -> None:
        assert isinstance(remote, SharedStats)
        assert exporter.RemoteStats is RemoteStats

    def test_raises_where_it_is_strict(self, remote: DrivenRemote) -> None:
        with pytest.raises(InvalidUpdate, match="viewers: expected a finite number of at least 0, got -1"):
            remote.update_viewers("xQc", -1)

    def test_logs_and_goes_on_where_it_is_not(
        self, clock: FakeClock, far: FakeExporter, caplog: pytest.LogCaptureFixture
    ) -> None:
        remote = make(clock, far, strict=None)
        remote.update_viewers("xQc", -1)
        remote.update_viewers("xQc", 1)
        assert "update refused: viewers: expected a finite number of at least 0, got -1" in caplog.text
        assert remote.own_numbers()[UPDATES_REJECTED]["invalid_number"] == 1

    def test_the_environment_makes_it_strict(
        self, clock: FakeClock, far: FakeExporter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CLIPPER_EXPORTER_STRICT", "1")
        with pytest.raises(InvalidUpdate):
            make(clock, far, strict=None).update_viewers("xQc", -1)

    def test_the_shared_store_is_the_one_there_is(self, remote: DrivenRemote) -> None:
        before = SharedStats()
        with pytest.raises(TypeError, match=r"^url: required, because the shared store"):
            RemoteStats()
        SharedStats.share(remote)
        try:
            assert SharedStats() is type(remote)() is RemoteStats() is remote
            assert type(type(remote).create()) is SharedStats
        finally:
            SharedStats.share(before)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            *(
                ({"url": url}, f"url: expected an address such as http://127.0.0.1:9309, got {shown!r}")
                for url, shown in [
                    ("localhost:9309", "localhost:9309"),
                    ("ftp://localhost", "ftp://localhost"),
                    ("http://", "http://"),
                    ("http:// x", "http:// x"),
                    ("http://h:99999", "http://h:99999"),
                    ("http://[::1", "http://[::1"),
                    ("http://me:secret@h?x", "http://***@h?x"),
                ]
            ),
            ({"token": "two words"}, "token: expected one word of ASCII characters"),
            ({"token": ""}, "token: expected one word of ASCII characters"),
            ({"token": "é"}, "token: expected one word of ASCII characters"),
            ({"interval": 0}, "interval: expected a number of seconds above 0, got 0"),
            ({"heartbeat": -1}, "heartbeat: expected a number of seconds above 0, got -1"),
            ({"timeout": float("inf")}, "timeout: expected a number of seconds above 0, got inf"),
            ({"max_events": 0}, "max_events: expected a whole number of at least 1, got 0"),
            ({"stale_after": -1}, "stale_after: expected a finite number of seconds, 0 for never, got -1"),
        ],
    )
    def test_options_that_cannot_be(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match="expected") as refusal:
            RemoteStats(**{"url": URL} | options)
        assert str(refusal.value) == message


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
