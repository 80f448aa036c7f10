"""What is kept rendered is what prometheus_client would render now, byte for byte, whatever happened to the store."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from exporter import InvalidUpdate, SharedStats
from exporter.metrics import FAMILIES, STORE_FAMILIES
from exporter.scrape import cache as lines_module
from exporter.scrape.cache import escape
from exporter.scrape.collector import ClipperCollector
from exporter.scrape.exposition import Exposition
from exporter.store.validation import Limits
from tests.batches import apply
from tests.clock import FakeClock

OPENMETRICS = "application/openmetrics-text;version=1.0.0"

HOSTILE = ['"', "\\", "\n", '\\"\n', "\\n", "}", "a b", "\r", "\u2028", "\x00", "é", "\U0001f3ae", "אב\u202e"]
NAMES = st.sampled_from([*"abcdefgh", *HOSTILE]) | st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4
)
NUMBERS = (
    st.sampled_from(
        [0, 1, -0.0, 0.1, 999_999, 1_000_000, 1e6, 999_999.5, 1e21, 1e22, 5e-324, 1.7e308, 45000.0, 2**53, 2**70]
    )
    | st.integers(0, 10**9)
    | st.floats(0, allow_infinity=False)
)
KINDS = st.sampled_from(["viewer_spike", "keyword", "raid", 'h"yp\\e\n'])


def registered(store: SharedStats, numbers: Mapping[str, Any]) -> CollectorRegistry:
    """A registry over ``store`` whose ``numbers`` are those of the exposition's previous scrape."""
    registry = CollectorRegistry()
    registry.register(ClipperCollector(store, lambda: numbers))
    return registry


class Bytes(RuleBasedStateMachine):
    """Drives a store in every way it can change, and compares both formats after each step."""

    @initialize(chunk=st.sampled_from([1, 2, 128]))
    def begin(self, chunk: int) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(lines_module, "_CHUNK", chunk)
        self.clock = FakeClock()
        self.store = SharedStats.create(
            clock=self.clock,
            limits=Limits(streamers=12, trigger_types=6),
            trigger_types=("viewer_spike", "keyword"),
            stale_after=60,
        )
        self.exposition = Exposition(self.store, CollectorRegistry(), clock=lambda: 0.0)
        self.openmetrics_next = False

    def teardown(self) -> None:
        self.patch.undo()

    @rule(name=NAMES, value=NUMBERS)
    def viewers(self, name: str, value: float) -> None:
        self.try_to(lambda: self.store.update_viewers(name, value))

    @rule(name=NAMES, value=NUMBERS)
    def velocity(self, name: str, value: float) -> None:
        self.try_to(lambda: self.store.update_velocity(name, value))

    @rule(name=NAMES, value=st.booleans())
    def recording(self, name: str, value: bool) -> None:
        self.try_to(lambda: self.store.update_recording_status(name, value))

    @rule(name=NAMES, kind=KINDS)
    def trigger(self, name: str, kind: str) -> None:
        self.try_to(lambda: self.store.add_trigger(name, kind))

    @rule(name=NAMES)
    def clip(self, name: str) -> None:
        self.try_to(lambda: self.store.increment_clips_today(name))

    @rule(name=NAMES)
    def clear(self, name: str) -> None:
        self.store.clear_streamer_stats(name)

    @rule()
    def clear_the_first(self) -> None:
        for row in self.store.rows()[:1]:
            self.store.clear_streamer_stats(row.streamer)

    @rule()
    def reset(self) -> None:
        self.store.reset_all()

    @rule(seconds=st.sampled_from([0.25, 1, 10, 59, 61]))
    def time_passes(self, seconds: float) -> None:
        self.clock.pass_by(seconds)

    @rule(names=st.lists(NAMES, max_size=4), cleared=st.lists(NAMES, max_size=2))
    def batch(self, names: list[str], cleared: list[str]) -> None:
        body = {"viewer_counts": dict.fromkeys(names, 7), "clips": [{"streamer": n} for n in names], "cleared": cleared}
        self.try_to(lambda: apply(self.store, body))

    @staticmethod
    def try_to(update: object) -> None:
        assert callable(update)
        try:
            update()
        except InvalidUpdate:
            return  # one streamer or type too many: the store is as it was, and so must the bytes be

    @invariant()
    def the_bytes_are_equal(self) -> None:
        if not hasattr(self, "exposition"):
            return
        self.openmetrics_next = not self.openmetrics_next
        numbers = self.exposition._numbers()
        reference = registered(self.store, numbers)
        if self.openmetrics_next:
            expected = openmetrics.generate_latest(reference)  # type: ignore[no-untyped-call]
            assert self.exposition.scrape(OPENMETRICS, "", ()).body == expected
        else:
            expected = generate_latest(reference)
            assert self.exposition.scrape("", "", ()).body == expected


TestBytes = Bytes.TestCase
TestBytes.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_label_is_escaped_as_prometheus_client_escapes_it(value: str) -> None:
    assert escape(value) == openmetrics._escape(value, openmetrics.ALLOWUTF8, lambda _char, _at: False)


def test_the_store_families_come_first_in_the_table() -> None:
    assert tuple(FAMILIES[: len(STORE_FAMILIES)]) == STORE_FAMILIES
    assert all(list(family.labels) == sorted(family.labels) for family in STORE_FAMILIES)


def test_thousands_of_streamers_that_come_and_go() -> None:
    store = SharedStats.create(clock=FakeClock())
    exposition = Exposition(store, CollectorRegistry(), clock=lambda: 0.0)
    for round_ in range(6):
        for number in range(1500):
            if number % (round_ + 2) == 0:
                store.clear_streamer_stats(f"streamer {number}")
            elif number % (round_ + 3):
                store.update_viewers(f"streamer {number}", number * round_)
        numbers = exposition._numbers()
        assert exposition.scrape("", "", ()).body == generate_latest(registered(store, numbers))


def test_scrapes_at_once_while_threads_write() -> None:
    store = SharedStats.create()
    exposition = Exposition(store, CollectorRegistry())
    stop = threading.Event()

    def write(number: int) -> None:
        value = 0
        while not stop.is_set():
            value += 1
            store.update_viewers(f"{number} {value % 300}", value)
            if value % 700 == 0:
                store.clear_streamer_stats(f"{number} {value % 300}")

    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    bodies: list[bytes] = []

    def scrape() -> None:
        bodies.extend(exposition.scrape("", "", ()).body for _ in range(15))

    scrapers = [threading.Thread(target=scrape) for _ in range(2)]
    for thread in writers + scrapers:
        thread.start()
    for thread in scrapers:
        thread.join()
    stop.set()
    for thread in writers:
        thread.join()
    assert len(bodies) == 30
    numbers = exposition._numbers()
    assert exposition.scrape("", "", ()).body == generate_latest(registered(store, numbers))


@pytest.mark.parametrize("scheme", ["dots", "values", "allow-utf-8", "underscores"])
def test_every_escaping_scheme_names_families_as_prometheus_client_does(scheme: str) -> None:
    store = SharedStats.create(clock=FakeClock())
    store.update_viewers("xQc", 1)
    exposition = Exposition(store, CollectorRegistry(), clock=lambda: 0.0)
    numbers = exposition._numbers()
    reference = registered(store, numbers)
    expected = openmetrics.generate_latest(reference, escaping=scheme)  # type: ignore[no-untyped-call]
    assert exposition.scrape(f"{OPENMETRICS};escaping={scheme}", "", ()).body == expected
