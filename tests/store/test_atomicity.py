"""No reader sees half of an update, and no update is lost, whatever comes in between: see ``tests.interleaving``."""

# ruff: noqa: B023 - a closure is called in the turn of the loop that made it

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from exporter import SharedStats
from exporter.metrics import STREAMERS, STREAMERS_EXPIRED, UPDATES
from exporter.scrape.exposition import Exposition
from exporter.store.journal import CLEARED, CLIPS, TRIGGERS, Changes
from exporter.store.store import Snapshot
from tests.batches import apply
from tests.clock import FakeClock
from tests.interleaving import Switching, moments

BATCH = {
    "viewer_counts": {"a": 2, "new": 2},
    "chat_velocities": {"a": 2.5},
    "triggers": [{"streamer": "a", "type": "raid"}, {"streamer": "new", "type": "raid"}],
    "clips": [{"streamer": "a"}, {"streamer": "new"}],
    "cleared": ["gone"],
}
BEFORE, AFTER = "nothing of it", "all of it"


def filled(clock: FakeClock | None = None) -> SharedStats:
    """A store whose readers have something to take in, and whose writers have something to drop."""
    clock = clock or FakeClock()
    store = SharedStats.create(clock=clock, stale_after=60)
    store.update_viewers("old", 1)
    clock.pass_by(30)
    for name in ("a", "gone"):
        store.update_viewers(name, 1)
    clock.pass_by(31.5)
    store.update_velocity("a", 1.5)
    return store


def of_snapshot(snapshot: Snapshot) -> str:
    rows = {row.streamer: (row.viewers, row.velocity, row.triggers.get("raid"), row.clips) for row in snapshot.rows}
    seen = (rows, [trigger.streamer for trigger in snapshot.recent], snapshot.clips_today)
    before: Any = ({"a": (1, 1.5, None, 0), "gone": (1, None, None, 0)}, [], {})
    after = ({"a": (2, 2.5, 1, 1), "new": (2, None, 1, 1)}, ["new", "a"], {"a": 1, "new": 1})
    assert seen in (before, after)
    return AFTER if seen == after else BEFORE


def following(store: SharedStats) -> Callable[[], str]:
    """A follower that keeps what it is told, and so notices what it is not."""
    cursor = store.follow(0)
    viewers: dict[str, float] = {}
    events: list[tuple[str, str]] = []
    today: dict[str, int] = {}

    def read() -> str:
        changes = cursor.take()
        for event in changes.events:
            events.append((event.kind, event.streamer))
            if event.kind == CLEARED:
                viewers.pop(event.streamer, None)
        for name, values in changes.gauges():
            if name == "viewer_counts":
                viewers.update(values)
        today.update(changes.clips_today)
        seen: Any = (viewers, [event for event in events if event != (CLEARED, "old")], today.get("a", 0))
        counted = [(kind, name) for kind in (TRIGGERS, CLIPS) for name in ("a", "new")]
        after = ({"a": 2, "new": 2}, [(CLEARED, "gone"), *counted], 1)
        assert seen in (({"a": 1, "gone": 1}, [], 0), after)
        assert len(changes.recent) == (2 if seen == after else 0)
        return AFTER if seen == after else BEFORE

    return read


def of_text(text: str) -> str:
    lines = {line for line in text.splitlines() if not line.startswith("#")}
    before = {
        'clipper_viewers{streamer="a"} 1.0',
        'clipper_viewers{streamer="gone"} 1.0',
        'clipper_chat_velocity{streamer="a"} 1.5',
        'clipper_clips_total{streamer="a"} 0.0',
    }
    after = {
        'clipper_viewers{streamer="a"} 2.0',
        'clipper_viewers{streamer="new"} 2.0',
        'clipper_chat_velocity{streamer="a"} 2.5',
        'clipper_triggers_total{streamer="a",type="raid"} 1.0',
        'clipper_triggers_total{streamer="new",type="raid"} 1.0',
        'clipper_clips_total{streamer="a"} 1.0',
        'clipper_clips_total{streamer="new"} 1.0',
    }
    assert (before <= lines and not after & lines) or (after <= lines and not before & lines)
    return AFTER if after <= lines else BEFORE


def scraping(store: SharedStats) -> Callable[[], str]:
    exposition = Exposition(store, CollectorRegistry(), clock=lambda: 0.0)
    exposition.scrape("", "", ())
    # The store's families alone: what the store tells of itself is read after them.
    return lambda: of_text(b"".join(b"".join(texts) for texts in exposition._lines.texts()).decode())


READERS: dict[str, Callable[[SharedStats], Callable[[], str]]] = {
    "snapshot": lambda store: lambda: of_snapshot(store.snapshot()),
    "cursor": following,
    "scrape": scraping,
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
class TestABatchIsSeenWholeOrNotAtAll:
    def test_by_who_comes_in_at_any_step_of_it(self, reader: Callable[[SharedStats], Callable[[], str]]) -> None:
        seen = set()
        for moment in moments(least=50):
            store = filled()
            read = reader(store)
            moment.watch(store)
            moment.meet(lambda: apply(store, BATCH), lambda: seen.add(read()))
            assert read() == AFTER
        assert seen == {BEFORE, AFTER}

    def test_by_who_looks_while_it_comes_in(self, reader: Callable[[SharedStats], Callable[[], str]]) -> None:
        seen = set()
        for moment in moments(least=20):
            store = filled()
            read = reader(store)
            moment.watch(store)
            moment.meet(lambda: seen.add(read()), lambda: apply(store, BATCH))
            assert read() == AFTER
        assert seen == {BEFORE, AFTER}


GAUGES: dict[str, tuple[str, str, Any, Any]] = {
    "viewers": ("update_viewers", "viewers", 1, 2),
    "velocity": ("update_velocity", "velocity", 1.5, 2.5),
    "recording": ("update_recording_status", "recording", False, True),
}


@pytest.mark.parametrize(("update", "gauge", "old", "new"), GAUGES.values(), ids=GAUGES)
class TestAReading:
    def test_is_never_seen_without_its_time(self, update: str, gauge: str, old: Any, new: Any) -> None:
        seen = set()
        for moment in moments(opcodes=True):
            clock = FakeClock(1000.0)
            store = SharedStats.create(clock=clock)
            getattr(store, update)("xQc", old)
            clock.now = 1007.0

            def look(store: SharedStats = store) -> None:
                (row,) = store.rows()
                seen.add((getattr(row, gauge), row.updated))

            moment.meet(lambda: getattr(store, update)("xQc", new), look)
            look()
        assert seen == {(old, 1000.0), (new, 1007.0)}

    def test_is_not_lost_if_it_is_reported_while_somebody_looks(
        self, update: str, gauge: str, old: Any, new: Any
    ) -> None:
        for moment in moments(opcodes=True, least=100):
            clock = FakeClock(1000.0)
            store = SharedStats.create(clock=clock)
            getattr(store, update)("xQc", old)
            cursor = store.follow()
            getattr(store, update)("xQc", old)
            clock.now = 1007.0
            told: list[Any] = []

            def take(store: SharedStats = store, cursor: Any = cursor, told: list[Any] = told) -> None:
                changes = cursor.take()
                assert changes.version <= store.version
                told.extend(changes.rows.column(gauge) if len(changes.rows) else [])

            moment.meet(take, lambda: getattr(store, update)("xQc", new))
            take()
            assert (told[-1], len(told) <= 2) == (new, True)
            assert [(getattr(row, gauge), row.updated) for row in store.rows()] == [(new, 1007.0)]


UPDATES_OF_ALL_KINDS: dict[str, Callable[[SharedStats], object]] = {
    "known streamer": lambda store: store.update_viewers("a", 5),
    "new streamer": lambda store: store.update_viewers("new", 7),
    "trigger": lambda store: store.add_trigger("a", "raid"),
    "clip": lambda store: store.increment_clips_today("a"),
    "clear": lambda store: store.clear_streamer_stats("a"),
    "batch": lambda store: apply(store, BATCH),
}


def everything(store: SharedStats) -> tuple[Any, ...]:
    """All that two updates leave behind, but for the order of what came at one time."""
    stats, numbers = store.get_all_stats(), store.own_numbers()
    rows = {row.streamer: (row.triggers, row.last_triggers, row.clips, row.updated) for row in store.rows()}
    gauges = (stats["viewer_counts"], stats["chat_velocities"], stats["clips_today"])
    recent = sorted((each["streamer"], each["type"]) for each in stats["recent_triggers"])
    return rows, gauges, recent, numbers[STREAMERS], numbers[STREAMERS_EXPIRED], numbers[UPDATES], store.events


def one_after_the_other(*updates: Callable[[SharedStats], object]) -> tuple[Any, ...]:
    store = filled()
    for update in updates:
        update(store)
    return everything(store)


@pytest.mark.parametrize("first", UPDATES_OF_ALL_KINDS)
@pytest.mark.parametrize("second", UPDATES_OF_ALL_KINDS)
def test_two_updates_at_once_are_as_one_after_the_other(first: str, second: str) -> None:
    one, other = UPDATES_OF_ALL_KINDS[first], UPDATES_OF_ALL_KINDS[second]
    expected = [one_after_the_other(one, other), one_after_the_other(other, one)]
    for moment in moments():
        store = filled()
        moment.watch(store)
        moment.meet(lambda: one(store), lambda: other(store))
        assert everything(store) in expected


def test_two_threads_that_report_a_new_streamer_share_its_row() -> None:
    for moment in moments(opcodes=True, least=100):
        store = SharedStats.create(clock=FakeClock())
        moment.watch(store)
        moment.meet(lambda: store.update_viewers("new", 1), lambda: store.update_velocity("new", 2.5))
        assert [(row.number, row.viewers, row.velocity) for row in store.rows()] == [(1, 1, 2.5)]
        assert store.own_numbers()[UPDATES] == {"local": 2, "http": 0}


INTERRUPTED: dict[str, Callable[[SharedStats], object]] = {
    "new streamer": UPDATES_OF_ALL_KINDS["new streamer"],
    "trigger": UPDATES_OF_ALL_KINDS["trigger"],
    "clip": UPDATES_OF_ALL_KINDS["clip"],
    "snapshot": lambda store: store.snapshot(),
    "cursor": lambda store: store.follow(0).take(),
}


@pytest.mark.parametrize("first", INTERRUPTED)
@pytest.mark.parametrize("second", INTERRUPTED)
def test_a_signal_handler_or_finalizer_may_come_in_anywhere(first: str, second: str) -> None:
    one, other = INTERRUPTED[first], INTERRUPTED[second]
    expected = [one_after_the_other(one, other), one_after_the_other(other, one)]
    for moment in moments():
        store = filled()
        moment.interrupt(lambda: one(store), lambda: other(store))
        assert everything(store) in expected


@pytest.mark.parametrize("kind", ["trigger", "clip"])
def test_an_event_amid_a_take_is_told_once(kind: str) -> None:
    for moment in moments():
        store = filled()
        store.increment_clips_today("a")
        cursor = store.follow(0)
        told: list[Changes] = []
        moment.interrupt(lambda: told.append(cursor.take()), lambda: UPDATES_OF_ALL_KINDS[kind](store))
        told.append(cursor.take())
        assert [event.number for changes in told for event in changes.events] == list(range(1, store.events + 1))
        assert all(changes.total == changes.events[-1].number for changes in told if changes.events)


def test_what_is_being_taken_in_is_not_lost_to_an_interruption() -> None:
    for moment in moments(opcodes=True, least=100):
        store = SharedStats.create(clock=FakeClock())
        for value in (1, 2):
            for name in ("a", "b", "c"):
                store.update_viewers(name, value)
            if value == 1:
                store.rows()
        moment.interrupt(store.rows, store.rows)
        assert store.viewer_counts == {"a": 2, "b": 2, "c": 2}


def test_threads_that_take_turns_as_often_as_can_be() -> None:
    """By chance, where the others leave nothing to it: for builds without a GIL, where steps are not all there is."""
    rounds, names = 150, [f"{number}" for number in range(20)]
    store = SharedStats.create()
    going = threading.Event()
    going.set()

    def batches() -> None:
        for value in range(1, rounds + 1):
            apply(store, {"viewer_counts": dict.fromkeys(names, value), "clips": [{"streamer": "0"}]})

    def events(name: str) -> None:
        for value in range(rounds):
            store.add_trigger(name, "keyword")
            store.update_velocity(name, value)

    def look() -> int:
        looks, last = 0, 0
        while going.is_set():
            snapshot = store.snapshot()
            viewers = {row.viewers for row in snapshot.rows if row.streamer in names}
            assert len(viewers) <= 1
            clips = snapshot.clips_today.get("0", 0)
            assert viewers in (set(), {clips})
            assert clips >= last
            last, looks = clips, looks + 1
        return looks

    def follow() -> int:
        cursor, clips, taken = store.follow(0), 0, 0
        while going.is_set():
            changes = cursor.take()
            clips += sum(event.kind == CLIPS for event in changes.events)
            for name, values in changes.gauges():
                if name == "viewer_counts" and values:
                    assert set(values.values()) == {clips}
                    assert len(values) == len(names)
            taken += 1
        return taken

    with Switching(), ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(look), pool.submit(follow)]
        try:
            for writer in [pool.submit(batches), pool.submit(events, "a"), pool.submit(events, "b")]:
                writer.result(60)
        finally:
            going.clear()
        assert all(reader.result(60) for reader in readers)
    rows = {row.streamer: row for row in store.rows()}
    assert (rows["0"].clips, rows["0"].viewers) == (rounds, rounds)
    assert [(rows[name].triggers["keyword"], rows[name].velocity) for name in ("a", "b")] == [(rounds, rounds - 1)] * 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_gets_a_store_that_nobody_is_in() -> None:
    code = textwrap.dedent("""
        import os, signal, threading
        from exporter import SharedStats

        store = SharedStats.create()
        going = True

        def write(name):
            value = 0
            while going:
                value += 1
                store.update_viewers(name, value)
                store.add_trigger(name, "keyword")
                store.apply(store.read(b'{"clips": [{"streamer": "x"}, {"streamer": "y"}]}'))

        threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        ended = []
        for _ in range(30):
            child = os.fork()
            if not child:
                signal.alarm(20)  # ends a process that hangs
                code = 1
                try:
                    today = store.get_all_stats()["clips_today"]
                    store.update_viewers("of the child", 1)
                    store.add_trigger("a", "keyword")
                    store.increment_clips_today("x")
                    counts = store.viewer_counts
                    code = 0 if today.get("x") == today.get("y") and counts["of the child"] == 1 else 2
                finally:
                    os._exit(code)
            ended.append(child)
        codes = [os.waitpid(child, 0)[1] for child in ended]
        going = False
        for thread in threads:
            thread.join()
        print(codes.count(0), "of the child" in store.viewer_counts)
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "30 False\n"), done.stderr
