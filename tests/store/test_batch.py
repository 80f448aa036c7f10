from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import SharedStats
from exporter.errors import InvalidBatch, InvalidUpdate
from exporter.metrics import UPDATES, UPDATES_REJECTED
from exporter.store.batch import Batch, NotJson, TriggerUpdate
from exporter.store.batch import _parse as parse
from exporter.store.batch import read as read_body
from exporter.store.validation import Limits, Reason
from tests.batches import apply
from tests.clock import FakeClock

LIMITS = Limits()
NOW = FakeClock().now
TIME = "2026-01-17T10:30:00+00:00"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> SharedStats:
    return SharedStats.create(clock=clock, time_zone=ZoneInfo("UTC"))


_KEYS = st.sampled_from(
    [
        *("viewer_counts", "chat_velocities", "recording_status", "triggers", "clips", "cleared", "source"),
        *("streamer", "type", "details", "timestamp", "id", "xQc"),
    ]
)


def values(store: SharedStats) -> list[list[Any]]:
    """All that rows hold but the versions: a batch is one moment, calls are several."""
    return [[value for name, value in row._asdict().items() if not name.endswith("version")] for row in store.rows()]


def read(data: Any, limits: Limits, now: float) -> Batch:
    return read_body(json.dumps(data).encode(), limits, now)


def mistakes(data: Any, limits: Limits = LIMITS) -> tuple[str, ...]:
    with pytest.raises(InvalidBatch) as refusal:
        read(data, limits, NOW)
    return refusal.value.mistakes


def trigger(**fields: Any) -> dict[str, Any]:
    return {"triggers": [{"streamer": "xQc", "type": "keyword"} | fields]}


class TestParsing:
    def test_what_json_says(self) -> None:
        assert parse('{"viewer_counts": {"é": 1, "b": 2.5e3}}'.encode()) == {"viewer_counts": {"é": 1, "b": 2500.0}}

    @pytest.mark.parametrize(
        ("body", "mistake"),
        [
            (b"", "body: not JSON: Expecting value: line 1 column 1 (char 0)"),
            (b'{"clips": [', "body: not JSON: Expecting value: line 1 column 12 (char 11)"),
            (b'{"a": "\xff"}', "body: not UTF-8: byte 0xff at 7"),
            (b"[" * 10_000, "body: JSON is nested too deeply"),
            (b'{"a":' * 10_000, "body: JSON is nested too deeply"),
            (b'{"a": 1, "a": 2}', "body: not JSON: duplicate name 'a' in an object"),
            (b'{"clips": [{"id": 1, "id": 1}]}', "body: not JSON: duplicate name 'id' in an object"),
            (b'{"a": 1e999}', "body: not JSON: the number 1e999 is too large"),
            (b'{"a": -1e999}', "body: not JSON: the number -1e999 is too large"),
            (b'{"a": NaN}', "body: not JSON: NaN is not a JSON number"),
            (b'{"a": -Infinity}', "body: not JSON: -Infinity is not a JSON number"),
            (b'{"a": ' + b"9" * 5000 + b"}", f"body: not JSON: the number {'9' * 40}... is too large"),
        ],
        ids=[
            "empty",
            "half",
            "utf8",
            "lists",
            "objects",
            "twice",
            "twice below",
            "1e999",
            "-1e999",
            "nan",
            "inf",
            "digits",
        ],
    )
    def test_what_is_no_json(self, body: bytes, mistake: str) -> None:
        with pytest.raises(NotJson) as refusal:
            parse(body)
        assert refusal.value.mistakes == (mistake,)
        assert refusal.value.reason == Reason.MALFORMED

    @given(st.binary())
    def test_any_bytes_are_read_or_refused(self, body: bytes) -> None:
        try:
            parse(body)
        except NotJson as problem:
            assert problem.mistakes[0].startswith(("body: not ", "body: JSON is nested"))  # noqa: PT017 - nothing else may be raised


class TestReading:
    def test_everything(self) -> None:
        assert read(
            {
                "viewer_counts": {"xQc": 45000},
                "chat_velocities": {"xQc": 125.5},
                "recording_status": {"xQc": True},
                "triggers": [
                    {"streamer": "xQc", "type": "raid", "details": {"a": 1}, "timestamp": TIME, "id": "1"},
                    {"streamer": "xQc", "type": "keyword"},
                ],
                "clips": [{"streamer": "xQc", "id": "2"}, {"streamer": "shroud"}],
                "cleared": ["gone"],
                "source": "clipper-1",
            },
            LIMITS,
            NOW,
        ) == Batch(
            viewer_counts={"xQc": 45000},
            chat_velocities={"xQc": 125.5},
            recording_status={"xQc": True},
            triggers=[
                TriggerUpdate("xQc", "raid", '{"a":1}', NOW, "1"),
                TriggerUpdate("xQc", "keyword", "{}", None, None),
            ],
            clips=[("xQc", "2"), ("shroud", None)],
            cleared=["gone"],
            source="clipper-1",
        )

    def test_nothing(self) -> None:
        assert read({}, LIMITS, NOW) == Batch()

    @pytest.mark.parametrize(
        ("data", "mistake"),
        [
            ([], "body: expected an object, got []"),
            (None, "body: expected an object, got None"),
            (
                {"viewers": {}},
                (
                    "'viewers': expected one of viewer_counts, chat_velocities, recording_status, triggers, clips,"
                    " cleared, source as the name, got {}"
                ),
            ),
            ({"viewer_counts": []}, "viewer_counts: expected an object with a value for each streamer's name, got []"),
            ({"viewer_counts": {"xQc": -1}}, "viewer_counts['xQc']: expected a finite number of at least 0, got -1"),
            ({"viewer_counts": {"xQc": "1"}}, "viewer_counts['xQc']: expected a finite number of at least 0, got '1'"),
            (
                {"chat_velocities": {"a'b": None}},
                'chat_velocities["a\'b"]: expected a finite number of at least 0, got None',
            ),
            ({"viewer_counts": {"": 1}}, "viewer_counts['']: expected text of 1 to 128 characters, got ''"),
            (
                {"viewer_counts": {"\ud800": 1}},
                "viewer_counts['\\ud800']: expected text without lone surrogates, got '\\ud800'",
            ),
            ({"recording_status": {"xQc": 1}}, "recording_status['xQc']: expected True or False, got 1"),
            ({"triggers": {}}, "triggers: expected a list, got {}"),
            ({"triggers": ["raid"]}, "triggers[0]: expected an object, got 'raid'"),
            ({"triggers": [{"type": "raid"}]}, "triggers[0].streamer: required"),
            ({"triggers": [{"streamer": "xQc"}]}, "triggers[0].type: required"),
            (trigger(streamer=7), "triggers[0].streamer: expected text, got 7"),
            (trigger(type=""), "triggers[0].type: expected text of 1 to 128 characters, got ''"),
            (trigger(details=None), "triggers[0].details: expected an object, got None"),
            (trigger(details=[1]), "triggers[0].details: expected a dict, got [1]"),
            (
                trigger(details={"a": "x" * 5000}),
                (
                    "triggers[0].details: expected at most 4096 bytes as JSON (this has 5008),"
                    f" got {{'a': '{'x' * 27}...{'x' * 28}'}}"
                ),
            ),
            (trigger(id=1), "triggers[0].id: expected text, got 1"),
            (
                trigger(id="x" * 129),
                f"triggers[0].id: expected text of 1 to 128 characters (this has 129), got '{'x' * 27}...{'x' * 28}'",
            ),
            (
                trigger(when=1),
                "triggers[0].'when': expected one of streamer, type, details, timestamp, id as the name, got 1",
            ),
            ({"clips": ["xQc"]}, "clips[0]: expected an object, got 'xQc'"),
            ({"clips": [{}]}, "clips[0].streamer: required"),
            (
                {"clips": [{"streamer": "xQc", "type": "x"}]},
                "clips[0].'type': expected one of streamer, id as the name, got 'x'",
            ),
            ({"cleared": "xQc"}, "cleared: expected a list, got 'xQc'"),
            ({"cleared": ["xQc", 1]}, "cleared[1]: expected text, got 1"),
            ({"source": ""}, "source: expected text of 1 to 128 characters, got ''"),
        ],
    )
    def test_every_mistake_has_its_path(self, data: Any, mistake: str) -> None:
        assert mistakes(data) == (mistake,)

    @pytest.mark.parametrize(
        ("timestamp", "expected"),
        [
            (0, "a time such as 2026-01-17T10:30:00+00:00"),
            (None, "a time such as 2026-01-17T10:30:00+00:00"),
            ("", "a time such as 2026-01-17T10:30:00+00:00"),
            ("yesterday", "a time such as 2026-01-17T10:30:00+00:00"),
            ("2026-01-17", "a time such as 2026-01-17T10:30:00+00:00, with its offset"),
            ("2026-01-17T10:30:00", "a time such as 2026-01-17T10:30:00+00:00, with its offset"),
            ("2026-13-17T10:30:00Z", "a time such as 2026-01-17T10:30:00+00:00"),
            ("1969-12-31T23:59:59Z", "a time since 1970"),
            ("0001-01-01T00:00:00+14:00", "a time since 1970"),
            ("2026-01-17T10:31:01+00:00", "a time at most 60 s from now (this is 61 s ahead)"),
            ("9999-12-31T23:59:59-14:00", "a time at most 60 s from now (this is 251633705399 s ahead)"),
        ],
    )
    def test_a_time_that_cannot_be(self, timestamp: Any, expected: str) -> None:
        with pytest.raises(InvalidBatch) as refusal:
            read(trigger(timestamp=timestamp), LIMITS, NOW)
        assert refusal.value.mistakes == (f"triggers[0].timestamp: expected {expected}, got {timestamp!r}",)
        assert refusal.value.reason == Reason.TIMESTAMP

    @pytest.mark.parametrize(
        ("timestamp", "ahead"),
        [
            ("2026-01-17T10:30:00Z", 0),
            ("2026-01-17T12:30:00+02:00", 0),
            ("2026-01-17T05:00:00.500000-05:30", 0.5),
            ("2026-01-17T10:31:00+00:00", 60),
            ("2025-01-17T10:30:00+00:00", -365 * 86400),
            ("1970-01-01T00:00:00Z", -NOW),
        ],
    )
    def test_a_time_with_an_offset(self, timestamp: str, ahead: float) -> None:
        assert read(trigger(timestamp=timestamp), LIMITS, NOW).triggers[0].at == NOW + ahead

    def test_all_mistakes_are_told_and_the_first_one_is_the_reason(self) -> None:
        data = {
            "viewer_counts": {"xQc": -1, "ok": 1},
            "triggers": [{"streamer": "", "type": 1, "timestamp": "now", "id": 2}, {}],
            "extra": None,
        }
        with pytest.raises(InvalidBatch) as refusal:
            read(data, LIMITS, NOW)
        assert [mistake.partition(":")[0] for mistake in refusal.value.mistakes] == [
            "viewer_counts['xQc']",
            "triggers[0].streamer",
            "triggers[0].type",
            "triggers[0].timestamp",
            "triggers[0].id",
            "triggers[1].streamer",
            "triggers[1].type",
            "'extra'",
        ]
        assert refusal.value.reason == Reason.NUMBER
        assert str(refusal.value) == "\n".join(refusal.value.mistakes)
        assert isinstance(refusal.value, InvalidUpdate)

    def test_a_hundred_mistakes_are_enough(self) -> None:
        told = mistakes({"cleared": [1] * 1000})
        assert (len(told), told[99], told[100]) == (101, "cleared[99]: expected text, got 1", "and more")

    def test_limits_are_the_stores_but_for_ids(self) -> None:
        limits = Limits(name_length=3, details_bytes=10)
        data = {
            **trigger(id="a longer id", details={"n": "long enough"}),
            "source": "a longer source",
            "cleared": ["long"],
        }
        assert mistakes(data, limits) == (
            "triggers[0].type: expected text of 1 to 3 characters (this has 7), got 'keyword'",
            "triggers[0].details: expected at most 10 bytes as JSON (this has 19), got {'n': 'long enough'}",
            "cleared[0]: expected text of 1 to 3 characters (this has 4), got 'long'",
        )

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
            max_leaves=20,
        )
    )
    def test_any_json_is_read_or_refused(self, data: Any) -> None:
        store = SharedStats.create(clock=FakeClock())
        before = store.get_all_stats()
        try:
            apply(store, data)
        except InvalidBatch as problem:
            assert problem.mistakes  # noqa: PT017 - nothing else may be raised
            assert store.get_all_stats() == before
            json.dumps(problem.mistakes, ensure_ascii=False).encode()


class TestApplying:
    def test_everything_is_there_at_once(self, store: SharedStats) -> None:
        versions: list[tuple[int, int]] = []
        store.on_next_change(lambda: versions.append((0, 0)))
        assert apply(
            store,
            {
                "viewer_counts": {"xQc": 45000, "shroud": 2},
                "chat_velocities": {"xQc": 125.5},
                "recording_status": {"xQc": True},
                "triggers": [{"streamer": "xQc", "type": "raid"}],
                "clips": [{"streamer": "xQc"}],
            },
        ) == (6, 0)
        stats = store.get_all_stats()
        assert stats["viewer_counts"] == {"xQc": 45000, "shroud": 2}
        assert stats["chat_velocities"] == {"xQc": 125.5}
        assert stats["recording_status"] == {"xQc": True}
        assert stats["clips_today"] == {"xQc": 1}
        assert store.own_numbers()[UPDATES] == {"local": 0, "http": 6}
        assert len(versions) == 1

    def test_nothing_is_applied_of_a_batch_with_a_mistake(self, store: SharedStats) -> None:
        store.update_viewers("xQc", 1)
        before = store.get_all_stats(), store.rows(), store.version
        data = {"viewer_counts": {"xQc": 2, "shroud": 3}, "clips": [{"streamer": "xQc"}], "cleared": ["xQc", ""]}
        with pytest.raises(InvalidBatch):
            apply(store, data)
        assert (store.get_all_stats(), store.rows(), store.version) == before
        assert store.own_numbers()[UPDATES_REJECTED][Reason.NAME] == 1
        assert store.own_numbers()[UPDATES] == {"local": 1, "http": 0}

    def test_an_event_with_a_known_id_is_a_duplicate(self, store: SharedStats) -> None:
        data = {
            "triggers": [
                {"streamer": "xQc", "type": "raid", "id": "1"},
                {"streamer": "xQc", "type": "raid", "id": "1"},
            ],
            "clips": [{"streamer": "xQc", "id": "2"}],
            "source": "a",
        }
        assert apply(store, data) == (2, 1)
        assert apply(store, data) == (0, 3)
        assert apply(store, data | {"source": "b"}) == (2, 1)
        [row] = store.rows()
        assert (row.triggers["raid"], row.clips) == (2, 2)

    def test_an_event_without_an_id_is_never_a_duplicate(self, store: SharedStats) -> None:
        data = {"clips": [{"streamer": "xQc"}, {"streamer": "xQc"}]}
        assert [apply(store, data), apply(store, data)] == [(2, 0), (2, 0)]
        assert store.get_clips_today("xQc") == 4

    def test_the_ids_of_a_refused_batch_are_not_known(self) -> None:
        store = SharedStats.create(clock=FakeClock(), limits=Limits(streamers=1))
        clip = {"streamer": "xQc", "id": "1"}
        with pytest.raises(InvalidBatch):
            apply(store, {"clips": [clip, {"streamer": "shroud", "id": "2"}]})
        assert apply(store, {"clips": [clip]}) == (1, 0)

    def test_a_duplicate_does_not_bring_a_streamer_back(self, store: SharedStats) -> None:
        data = {"clips": [{"streamer": "xQc", "id": "1"}]}
        apply(store, data)
        store.clear_streamer_stats("xQc")
        assert apply(store, data) == (0, 1)
        assert store.rows() == []

    def test_a_reset_does_not_make_ids_new(self, store: SharedStats) -> None:
        data = {"clips": [{"streamer": "xQc", "id": "1"}]}
        apply(store, data)
        store.reset_all()
        assert apply(store, data) == (0, 1)

    def test_clears_come_first(self, store: SharedStats) -> None:
        store.update_viewers("xQc", 1)
        store.update_velocity("xQc", 1.5)
        store.add_trigger("xQc", "raid")
        assert apply(store, {"viewer_counts": {"xQc": 2}, "cleared": ["xQc", "nobody"]}) == (3, 0)
        [row] = store.rows()
        assert (row.viewers, row.velocity, "raid" in row.triggers) == (2, None, False)

    def test_a_trigger_has_its_own_time_and_is_put_in_its_place(self, store: SharedStats, clock: FakeClock) -> None:
        store.add_trigger("xQc", "keyword", {"n": 1})
        clock.pass_by(10)
        store.add_trigger("xQc", "keyword", {"n": 3})
        late = {"streamer": "xQc", "type": "keyword", "details": {"n": 2}, "timestamp": "2026-01-17T10:30:05+00:00"}
        apply(store, {"triggers": [late]})
        assert [entry["details"]["n"] for entry in store.recent_triggers] == [3, 2, 1]
        assert store.recent_triggers[1]["timestamp"] == "2026-01-17T10:30:05.000000+00:00"
        [row] = store.rows()
        assert row.last_triggers == {"keyword": clock.now}
        assert row.updated == clock.now

    @pytest.mark.parametrize(
        ("data", "applied"),
        [
            ({"viewer_counts": {"a": 1, "b": 1}}, True),
            ({"viewer_counts": {"a": 1, "b": 1, "c": 1}}, False),
            ({"viewer_counts": {"c": 1, "d": 1}, "cleared": ["a", "b"]}, True),
            ({"viewer_counts": {"a": 1, "c": 1, "d": 1}, "cleared": ["a", "b"]}, False),
            ({"clips": [{"streamer": "c"}], "cleared": ["a"]}, True),
            ({"triggers": [{"streamer": "c", "type": "raid"}], "cleared": ["x"]}, False),
        ],
    )
    def test_room_for_streamers(self, data: Any, applied: bool) -> None:
        store = SharedStats.create(clock=FakeClock(), limits=Limits(streamers=2))
        apply(store, {"viewer_counts": {"a": 0, "b": 0}})
        if applied:
            apply(store, data)
            assert len(store.rows()) == 2
            return
        with pytest.raises(InvalidBatch) as refusal:
            apply(store, data)
        assert refusal.value.mistakes == ("body: too many streamers: 3 (--limit.streamers=2)",)
        assert store.own_numbers()[UPDATES_REJECTED][Reason.STREAMERS] == 1
        assert [row.streamer for row in store.rows()] == ["a", "b"]

    @pytest.mark.parametrize(
        ("types", "cleared", "applied"),
        [
            (["own"], [], True),
            (["own", "declared"], [], True),
            (["other"], [], False),
            (["other"], ["a"], True),
            (["other", "third"], ["a"], False),
        ],
    )
    def test_room_for_trigger_types(self, types: list[str], cleared: list[str], applied: bool) -> None:
        store = SharedStats.create(clock=FakeClock(), limits=Limits(trigger_types=2), trigger_types=["declared"])
        store.add_trigger("a", "own")
        data = {"triggers": [{"streamer": "b", "type": kind} for kind in types], "cleared": cleared}
        if applied:
            assert apply(store, data) == (len(types) + len(cleared), 0)
            return
        with pytest.raises(InvalidBatch) as refusal:
            apply(store, data)
        assert refusal.value.mistakes == ("body: too many trigger types: 3 (--limit.trigger-types=2)",)
        assert store.own_numbers()[UPDATES_REJECTED][Reason.TRIGGER_TYPES] == 1

    @pytest.mark.parametrize("stale", [2, 3_000], ids=["few", "more than are looked at in one go"])
    def test_whoever_is_stale_makes_room_though_nobody_looked(self, clock: FakeClock, stale: int) -> None:
        store = SharedStats.create(clock=clock, limits=Limits(streamers=stale, trigger_types=5), stale_after=60)
        store.add_trigger("0", "fifth")
        for number in range(1, stale):
            store.update_viewers(f"{number}", 1)
        clock.pass_by(62)
        data: dict[str, Any] = {"viewer_counts": {f"new {number}": 1 for number in range(stale)}}
        data |= {"triggers": [{"streamer": "new 1", "type": "sixth"}]}
        assert apply(store, data).applied == stale + 1
        assert [row.streamer for row in store.rows()] == list(data["viewer_counts"])


_names = st.sampled_from(["xQc", "shroud", 'q"\\\n\u2028', "\U0001f3ae"])
_numbers = st.integers(0, 2**60) | st.floats(0, 1e300)
_details = st.dictionaries(st.text(max_size=5), st.none() | st.text(max_size=5) | _numbers, max_size=3)
_zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_triggers = st.tuples(_names, st.sampled_from(["keyword", "raid", "hype train"]), _details)


@given(
    cleared=st.lists(_names, unique=True),
    viewers=st.dictionaries(_names, _numbers),
    velocities=st.dictionaries(_names, _numbers),
    recording=st.dictionaries(_names, st.booleans()),
    triggers=st.lists(_triggers, max_size=30),
    clips=st.lists(_names, max_size=5),
    zone=_zones,
)
def test_a_batch_gives_what_plain_calls_give(
    *,
    cleared: list[str],
    viewers: dict[str, float],
    velocities: dict[str, float],
    recording: dict[str, bool],
    triggers: list[tuple[str, str, dict[str, Any]]],
    clips: list[str],
    zone: timezone,
) -> None:
    clock = FakeClock()
    pushed, called = (SharedStats.create(clock=clock, time_zone=UTC) for _ in range(2))
    for store in (pushed, called):
        store.update_viewers("xQc", 7)
        store.add_trigger("shroud", "raid")
    now = datetime.fromtimestamp(clock.now, zone).isoformat()
    body = {
        "cleared": cleared,
        "viewer_counts": viewers,
        "chat_velocities": velocities,
        "recording_status": recording,
        "triggers": [
            {"streamer": streamer, "type": kind, "details": details, "timestamp": now}
            for streamer, kind, details in triggers
        ],
        "clips": [{"streamer": streamer} for streamer in clips],
    }
    apply(pushed, json.dumps(body).encode())
    calls: list[tuple[Callable[..., None], Any]] = [
        *((called.clear_streamer_stats, (name,)) for name in cleared),
        *((called.update_viewers, each) for each in viewers.items()),
        *((called.update_velocity, each) for each in velocities.items()),
        *((called.update_recording_status, each) for each in recording.items()),
        *((called.add_trigger, each) for each in triggers),
        *((called.increment_clips_today, (name,)) for name in clips),
    ]
    for call, arguments in calls:
        call(*arguments)
    assert pushed.get_all_stats() == called.get_all_stats()
    assert values(pushed) == values(called)
    assert pushed.version == called.version
