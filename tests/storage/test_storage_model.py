"""Any operations, with the process killed anywhere between them: what was committed is what a plain model says."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from exporter import SharedStats
from exporter.storage.schema import FILE_NAME
from exporter.storage.writer import Storage
from tests.batches import apply
from tests.clock import FakeClock

DECLARED = ("viewer_spike", "keyword")
STALE_AFTER = 300
DAY = 86_400

streamers = st.sampled_from(["xQc", "a\0b", "'; --", "\U0001f3ae"])
types = st.sampled_from([*DECLARED, "raid"])
ids = st.one_of(st.none(), st.integers(0, 8).map(str))


class Storing(RuleBasedStateMachine):
    """The model holds counters by streamer, today's clips, the newest triggers, and the ids seen."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.clock = FakeClock()
        self.triggers: dict[str, Counter[str]] = {}
        self.newest: dict[str, dict[str, float]] = {}
        self.clips: Counter[str] = Counter()
        self.today: Counter[str] = Counter()
        self.recent: list[tuple[str, str, float]] = []
        self.ids: set[str] = set()
        self.updated: dict[str, float] = {}
        self.start()

    def start(self) -> None:
        self.store = SharedStats.create(
            clock=self.clock, time_zone=ZoneInfo("UTC"), trigger_types=DECLARED, stale_after=STALE_AFTER
        )
        self.storage = Storage(self.store, self.folder, gather=0)

    def pass_time(self) -> None:
        """Let the model's time do its work, as the store's does at its next method."""
        for name, at in list(self.updated.items()):
            if self.clock.now >= int(at) + 1 + STALE_AFTER:
                self.forget(name)

    def forget(self, name: str) -> None:
        for held in (self.triggers, self.newest, self.clips, self.updated):
            held.pop(name, None)

    def count(self, name: str, kind: str) -> None:
        self.triggers.setdefault(name, Counter())[kind] += 1
        self.newest.setdefault(name, {})[kind] = self.clock.now
        self.recent = [(name, kind, self.clock.now), *self.recent][:20]
        self.updated[name] = self.clock.now

    @rule(name=streamers, kind=types)
    def trigger(self, name: str, kind: str) -> None:
        self.pass_time()
        self.store.add_trigger(name, kind)
        self.count(name, kind)

    @rule(events=st.lists(st.tuples(streamers, types, ids), max_size=5))
    def push(self, events: list[tuple[str, str, str | None]]) -> None:
        self.pass_time()
        body = [{"streamer": name, "type": kind} | ({"id": each} if each else {}) for name, kind, each in events]
        new = []
        for name, kind, each in events:
            if each is None or each not in self.ids:
                new.append((name, kind))
                self.ids |= {each} if each else set()
        assert apply(self.store, {"triggers": body}) == (len(new), len(events) - len(new))
        for name, kind in new:
            self.count(name, kind)

    @rule(name=streamers)
    def clip(self, name: str) -> None:
        self.pass_time()
        self.store.increment_clips_today(name)
        self.clips[name] += 1
        self.today[name] += 1
        self.updated[name] = self.clock.now

    @rule(name=streamers)
    def gauge(self, name: str) -> None:
        self.pass_time()
        self.store.update_viewers(name, 5)
        self.updated[name] = self.clock.now

    @rule(name=streamers)
    def clear(self, name: str) -> None:
        self.pass_time()
        self.store.clear_streamer_stats(name)
        self.forget(name)

    @rule()
    def reset(self) -> None:
        self.store.reset_all()
        for held in (self.triggers, self.newest, self.clips, self.today, self.recent, self.updated):
            held.clear()

    @rule(seconds=st.sampled_from([0.5, 60, 299, 302]))
    def wait(self, seconds: float) -> None:
        self.pass_clock(seconds)

    @rule()
    def next_day(self) -> None:
        self.pass_clock(DAY)

    def pass_clock(self, seconds: float) -> None:
        if (self.clock.now + seconds) // DAY > self.clock.now // DAY:
            self.today.clear()
        self.clock.pass_by(seconds)
        self.pass_time()

    @rule(away=st.sampled_from([0, 200, 400, DAY]))
    def kill(self, away: float) -> None:
        """Go on from the files as they are this moment, as after a SIGKILL; what was begun is never finished."""
        assert self.storage.flush(20)
        crashed, folder = self.storage, Path(tempfile.mkdtemp())
        for file in self.folder.glob(f"{FILE_NAME}*"):
            shutil.copy(file, folder / file.name)
        crashed.close()
        shutil.rmtree(self.folder)
        self.folder = folder
        if (self.clock.now + away) // DAY > self.clock.now // DAY:
            self.today.clear()
        self.clock.pass_by(away)
        for name in list(self.updated):
            if not (sum(self.triggers.get(name, Counter()).values()) or self.clips[name]):
                self.forget(name)
        self.updated = dict.fromkeys(self.updated, self.clock.now)
        self.start()

    @rule()
    def stop(self) -> None:
        self.storage.close()
        for name in list(self.updated):
            if not (sum(self.triggers.get(name, Counter()).values()) or self.clips[name]):
                self.forget(name)
        self.updated = dict.fromkeys(self.updated, self.clock.now)
        self.start()

    @invariant()
    def the_store_is_as_the_model_says(self) -> None:
        if not hasattr(self, "store"):
            return
        rows = {row.streamer: row for row in self.store.rows()}
        assert rows.keys() == self.updated.keys()
        for name, row in rows.items():
            assert row.triggers == {**dict.fromkeys(DECLARED, 0), **self.triggers.get(name, {})}
            assert row.last_triggers == self.newest.get(name, {})
            assert row.clips == self.clips[name]
        stats: Any = self.store.get_all_stats()
        assert stats["clips_today"] == +self.today
        found = [(entry["streamer"], entry["type"]) for entry in stats["recent_triggers"]]
        assert found == [(name, kind) for name, kind, _ in self.recent]

    def teardown(self) -> None:
        if hasattr(self, "storage"):
            self.storage.close()
            shutil.rmtree(self.folder)


Storing.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestStoring = Storing.TestCase
