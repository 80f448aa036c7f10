"""What is kept rendered is what prometheus_client would render now, byte for byte, whatever happened to the store."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics import exposition as openmetrics

from exporter import InvalidUpdate, SharedStats
from exporter.metrics import FAMILIES, STORE_FAMILIES
from exporter.own_metrics import OwnMetrics
from exporter.scrape import cache as lines_module
from exporter.scrape.cache import StoreLines, escape
from exporter.scrape.collector import ClipperCollector
from exporter.scrape.exposition import Exposition
from exporter.store.validation import Limits
from tests.batches import apply
from tests.clock import FakeClock
from tests.interleaving import moments

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


def registered(store: SharedStats, own: OwnMetrics) -> CollectorRegistry:
    """A registry over ``store`` with a server's own metrics, which are those of its previous scrape."""
    registry = CollectorRegistry()
    registry.register(ClipperCollector(store, own))
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
        reference = registered(self.store, self.exposition.own)
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
    registry = CollectorRegistry()
    Gauge("labelled", "", ["name"], registry=registry).labels(value).set(1)
    for render in (generate_latest, openmetrics.generate_latest):
        assert f'labelled{{name="{escape(value)}"}} 1.0\n' in render(registry).decode()


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
        expected = generate_latest(registered(store, exposition.own))
        assert exposition.scrape("", "", ()).body == expected


def lines(store: SharedStats) -> bytes:
    """What prometheus_client renders of the streamers' samples."""
    text = generate_latest(registered(store, OwnMetrics())).partition(b"# HELP clipper_exporter")[0]
    return b"".join(line for line in text.splitlines(keepends=True) if not line.startswith(b"#"))


def changing(store: SharedStats) -> StoreLines:
    """Lines that have something of every kind to do at the next scrape."""
    kept = StoreLines(store)
    for name in ("stays", "goes"):
        store.update_viewers(name, 1)
    kept.texts()
    store.update_viewers("stays", 2)
    store.add_trigger("stays", "keyword")
    store.clear_streamer_stats("goes")
    store.update_viewers("comes", 3)
    return kept


def test_two_scrapes_at_once_both_have_the_newest() -> None:
    for moment in moments(least=100):
        store = SharedStats.create(clock=FakeClock())
        kept = changing(store)
        bodies: list[bytes] = []

        def scrape(kept: StoreLines = kept, bodies: list[bytes] = bodies) -> None:
            bodies.append(b"".join(b"".join(texts) for texts in kept.texts()))

        moment.watch(store, kept)
        moment.meet(scrape, scrape)
        scrape()
        assert bodies == [lines(store)] * 3


@pytest.mark.parametrize("update", ["viewers", "trigger", "clear", "new"])
def test_an_update_amid_a_scrape_is_in_it_or_in_the_next(update: str) -> None:
    updates: dict[str, Callable[[SharedStats], None]] = {
        "viewers": lambda store: store.update_viewers("stays", 7),
        "trigger": lambda store: store.add_trigger("comes", "raid"),
        "clear": lambda store: store.clear_streamer_stats("stays"),
        "new": lambda store: store.update_viewers("new", 7),
    }
    for moment in moments(least=100):
        store = SharedStats.create(clock=FakeClock())
        kept = changing(store)
        before = lines(store)
        bodies: list[bytes] = []

        def scrape(kept: StoreLines = kept, bodies: list[bytes] = bodies) -> None:
            bodies.append(b"".join(b"".join(texts) for texts in kept.texts()))

        moment.watch(store, kept)
        moment.meet(scrape, partial(updates[update], store))
        scrape()
        after = lines(store)
        assert bodies[0] in (before, after)
        assert bodies[1] == after != before


@pytest.mark.parametrize("scheme", ["dots", "values", "allow-utf-8", "underscores"])
def test_every_escaping_scheme_names_families_as_prometheus_client_does(scheme: str) -> None:
    store = SharedStats.create(clock=FakeClock())
    store.update_viewers("xQc", 1)
    exposition = Exposition(store, CollectorRegistry(), clock=lambda: 0.0)
    reference = registered(store, exposition.own)
    accept = f"{OPENMETRICS};escaping={scheme}"
    expected = choose_encoder(accept)[0](reference)
    assert exposition.scrape(accept, "", ()).body == expected
