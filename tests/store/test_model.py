"""SharedStats against a plain model of its contract, driven at random."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from exporter import InvalidUpdate, SharedStats
from exporter.errors import InvalidBatch
from exporter.metrics import STREAMERS as HELD
from exporter.metrics import STREAMERS_EXPIRED, UPDATES, UPDATES_REJECTED
from exporter.store.triggers import iso
from exporter.store.validation import Limits
from tests.batches import apply
from tests.clock import FakeClock

STREAMERS, TYPES, STALE_AFTER = 4, 4, 90
DECLARED = ("viewer_spike", "keyword")
NAMES = st.sampled_from(["a", "b", "c", "d", "e", "\N{GREEK SMALL LETTER ALPHA}"])
KINDS = st.sampled_from(["viewer_spike", "keyword", "raid", "hype", "sub bomb"])
GOOD = st.integers(0, 10**9) | st.floats(0, 1e12)
BAD: st.SearchStrategy[Any] = st.sampled_from([-1, -0.5, float("nan"), float("inf"), None, "7", True, [], 10**400])
BAD_NAMES = st.sampled_from(["", "x" * 129, None, 7, "\ud800", ["a"], b"a"])


@dataclass
class Streamer:
    gauges: dict[str, Any] = field(default_factory=dict)
    triggers: Counter[str] = field(default_factory=Counter)
    last: dict[str, float] = field(default_factory=dict)
    clips: int = 0
    updated: float = 0.0


class Model(RuleBasedStateMachine):
    """Every method of the store, and what the contract says that it does.

    Who is stale is dropped when somebody looks, or at an event, whoever's it is. Until then nobody looks here either:
    a gauge of such a streamer goes on, and what is refused or counted must not need a reader to be right.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.store = SharedStats.create(
            clock=self.clock,
            limits=Limits(streamers=STREAMERS, trigger_types=TYPES),
            trigger_types=DECLARED,
            stale_after=STALE_AFTER,
            time_zone=ZoneInfo("UTC"),
        )
        self.streamers: dict[str, Streamer] = {}
        self.recent: list[tuple[str, str, float]] = []
        self.clips_today: Counter[str] = Counter()
        self.day = self.clock.now // 86400
        self.accepted = self.pushed = self.refused = self.expired = 0

    def settle(self) -> None:
        """Drop who is stale, as a reader does, or a writer that takes the lock."""
        stale = [n for n, s in self.streamers.items() if self.clock.now >= int(s.updated) + 1 + STALE_AFTER]
        for name in stale:
            del self.streamers[name]
        self.expired += len(stale)
        if self.clock.now // 86400 != self.day:
            self.day = self.clock.now // 86400
            self.clips_today.clear()

    def settle_unless_held(self, name: str) -> None:
        """A gauge of a streamer that is held takes no lock, and drops nobody, not even that one."""
        if name not in self.streamers:
            self.settle()

    def types(self) -> set[str]:
        return set(DECLARED).union(*(streamer.triggers for streamer in self.streamers.values()))

    def has_room(self, name: str) -> bool:
        return name in self.streamers or len(self.streamers) < STREAMERS

    def expect(self, accepted: bool, update: Any, *arguments: Any) -> None:
        if accepted:
            update(*arguments)
            self.accepted += 1
            return
        with pytest.raises(InvalidUpdate):
            update(*arguments)
        self.refused += 1

    def touched(self, name: str) -> Streamer:
        streamer = self.streamers.setdefault(name, Streamer())
        streamer.updated = self.clock.now
        return streamer

    def triggered(self, name: str, kind: str) -> None:
        streamer = self.touched(name)
        streamer.triggers[kind] += 1
        streamer.last[kind] = self.clock.now
        self.recent = [(name, kind, self.clock.now), *self.recent][:20]

    def clipped(self, name: str) -> None:
        self.touched(name).clips += 1
        self.clips_today[name] += 1
        while len(self.clips_today) > STREAMERS:
            del self.clips_today[next(n for n in self.clips_today if n not in self.streamers)]

    @rule(name=NAMES, value=GOOD, gauge=st.sampled_from(["viewers", "velocity"]))
    def set_number(self, name: str, value: float, gauge: str) -> None:
        self.settle_unless_held(name)
        room = self.has_room(name)
        self.expect(room, getattr(self.store, f"update_{gauge}"), name, value)
        if room:
            self.touched(name).gauges[gauge] = value

    @rule(name=NAMES, value=st.booleans())
    def set_recording(self, name: str, value: bool) -> None:
        self.settle_unless_held(name)
        room = self.has_room(name)
        self.expect(room, self.store.update_recording_status, name, value)
        if room:
            self.touched(name).gauges["recording"] = value

    @rule(name=NAMES, kind=KINDS)
    def trigger(self, name: str, kind: str) -> None:
        self.settle()
        room = self.has_room(name) and len(self.types() | {kind}) <= TYPES
        self.expect(room, self.store.add_trigger, name, kind, {"n": self.accepted})
        if room:
            self.triggered(name, kind)

    @rule(name=NAMES)
    def clip(self, name: str) -> None:
        self.settle()
        room = self.has_room(name)
        self.expect(room, self.store.increment_clips_today, name)
        if room:
            self.clipped(name)

    @rule(name=NAMES)
    def clear(self, name: str) -> None:
        self.settle()
        self.store.clear_streamer_stats(name)
        self.accepted += name in self.streamers
        self.streamers.pop(name, None)

    @rule()
    def reset(self) -> None:
        self.settle()
        self.store.reset_all()
        self.accepted += 1
        self.streamers.clear()
        self.recent.clear()
        self.clips_today.clear()

    @rule(value=BAD, name=NAMES)
    def bad_value(self, value: Any, name: str) -> None:
        for update in (self.store.update_viewers, self.store.update_velocity):
            self.expect(False, update, name, value)
        if not isinstance(value, bool):
            self.expect(False, self.store.update_recording_status, name, value)
        if value is not None:
            self.expect(False, self.store.add_trigger, name, "keyword", value)

    @rule(name=BAD_NAMES)
    def bad_name(self, name: Any) -> None:
        self.settle()
        self.expect(False, self.store.update_viewers, name, 1)
        self.expect(False, self.store.increment_clips_today, name)
        self.expect(False, self.store.clear_streamer_stats, name)
        self.expect(False, self.store.add_trigger, "a", name)
        assert self.store.get_clips_today(name) == 0

    @rule(seconds=st.sampled_from([0.3, 1, 30, STALE_AFTER, STALE_AFTER + 1, 86_400]))
    def time_passes(self, seconds: float) -> None:
        self.clock.pass_by(seconds)

    @rule(names=st.lists(NAMES, unique=True, max_size=3), kind=KINDS, cleared=st.lists(NAMES, unique=True, max_size=2))
    def batch(self, names: list[str], kind: str, cleared: list[str]) -> None:
        self.settle()
        body = {
            "viewer_counts": dict.fromkeys(names, 7),
            "triggers": [{"streamer": name, "type": kind} for name in names],
            "clips": [{"streamer": name} for name in names],
            "cleared": cleared,
        }
        left = {name: streamer for name, streamer in self.streamers.items() if name not in cleared}
        types = set(DECLARED).union(*(streamer.triggers for streamer in left.values()))
        room = not names or (len({*left, *names}) <= STREAMERS and len(types | {kind}) <= TYPES)
        if not room:
            with pytest.raises(InvalidBatch):
                apply(self.store, body)
            self.refused += 1
            return
        assert apply(self.store, body).applied == 3 * len(names) + len(cleared)
        self.pushed += 3 * len(names) + len(cleared)
        self.streamers = left
        for name in names:
            self.touched(name).gauges["viewers"] = 7
        for name in names:
            self.triggered(name, kind)
        for name in names:
            self.clipped(name)

    @rule()
    def somebody_looks(self) -> None:
        self.settle()
        stats = self.store.get_all_stats()
        for key, gauge in (
            ("viewer_counts", "viewers"),
            ("chat_velocities", "velocity"),
            ("recording_status", "recording"),
        ):
            expected = {n: s.gauges[gauge] for n, s in self.streamers.items() if gauge in s.gauges}
            assert stats[key] == expected  # type: ignore[literal-required]
        recent = [(entry["streamer"], entry["type"], entry["timestamp"]) for entry in stats["recent_triggers"]]
        assert recent == [(name, kind, iso(at)) for name, kind, at in self.recent]
        assert stats["clips_today"] == self.clips_today
        assert {
            row.streamer: (row.triggers, row.last_triggers, row.clips, row.updated) for row in self.store.rows()
        } == {
            name: (dict.fromkeys(DECLARED, 0) | streamer.triggers, streamer.last, streamer.clips, streamer.updated)
            for name, streamer in self.streamers.items()
        }
        numbers = self.store.own_numbers()
        assert numbers[UPDATES] == {"local": self.accepted, "http": self.pushed}
        assert sum(numbers[UPDATES_REJECTED].values()) == self.refused
        assert (numbers[HELD], numbers[STREAMERS_EXPIRED]) == (len(self.streamers), self.expired)

    def teardown(self) -> None:
        self.somebody_looks()


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
