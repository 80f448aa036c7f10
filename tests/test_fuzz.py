"""Whatever is pushed is refused whole, or comes out of every interface as it came in.

``pytest --hypothesis-profile=long tests/test_fuzz.py`` tries many more inputs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter import SharedStats
from exporter.errors import InvalidBatch
from exporter.live.hub import Push
from exporter.metrics import CHAT_VELOCITY, RECORDING, STREAMER, TRIGGERS, TYPE, VIEWERS
from exporter.scrape.exposition import Exposition
from exporter.store.batch import Batch, read
from exporter.store.triggers import iso
from exporter.store.validation import Limits
from tests.batches import apply
from tests.clock import FakeClock

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
LIMITS = Limits(streamers=8, trigger_types=6, name_length=12, details_bytes=60)

HOSTILE = [
    '"',
    "\\",
    "\n",
    "\r",
    "\x00",
    "\\n",
    '"} 1\n#',
    "\u2028",
    "\x85",
    "\u202eאב",
    "\ufeff",
    "\U0001f3ae",
    "</script>",
]
names = st.sampled_from(["xQc", *HOSTILE]) | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
bad_names = st.sampled_from(["", "\ud800", 13 * "x"])
numbers = st.integers(0, 2**70) | st.floats(0, allow_nan=False, allow_infinity=False)
wild = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | bad_names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | bad_names, inner, max_size=3),
    max_leaves=8,
)
times = st.floats(0, FakeClock().now + 60).map(iso) | st.sampled_from(["2026-01-17", "9999-12-31T23:59:59+00:00", ""])
ids = {"id": names}
batches = st.fixed_dictionaries(
    {},
    optional={
        "viewer_counts": st.dictionaries(names, numbers, max_size=4),
        "chat_velocities": st.dictionaries(names, numbers, max_size=4),
        "recording_status": st.dictionaries(names, st.booleans(), max_size=4),
        "triggers": st.lists(
            st.fixed_dictionaries(
                {"streamer": names, "type": names},
                optional={**ids, "timestamp": times, "details": st.dictionaries(names, wild, max_size=2)},
            ),
            max_size=4,
        ),
        "clips": st.lists(st.fixed_dictionaries({"streamer": names}, optional=ids), max_size=3),
        "cleared": st.lists(names, max_size=3),
        "source": names,
    },
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A batch as JSON: as it should be, with a value in it that may be anything, or with bytes changed."""
    data = draw(batches)
    if data and draw(st.integers(0, 3)) == 0:
        data[draw(st.sampled_from(sorted(data)))] = draw(wild)
    body = json.dumps(data, ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass")
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2, 5]))):
        start, end = sorted(draw(st.tuples(st.integers(0, len(body)), st.integers(0, len(body)))))
        kind = draw(st.sampled_from(["replace", "remove", "repeat"]))
        end = min(end, start + 6)
        middle = {"replace": draw(st.binary(max_size=4)), "remove": b"", "repeat": 2 * body[start:end]}[kind]
        body = body[:start] + middle + body[end:]
    return body


def as_data(batch: Batch) -> dict[str, Any]:
    """What :func:`~exporter.store.batch.read` makes the same batch of again."""
    triggers = [
        {"streamer": each.streamer, "type": each.type, "details": json.loads(each.details)}
        | ({"timestamp": iso(each.at)} if each.at is not None else {})
        | ({"id": each.id} if each.id is not None else {})
        for each in batch.triggers
    ]
    clips = [{"streamer": name} | ({"id": event} if event is not None else {}) for name, event in batch.clips]
    return {
        "viewer_counts": batch.viewer_counts,
        "chat_velocities": batch.chat_velocities,
        "recording_status": batch.recording_status,
        "triggers": triggers,
        "clips": clips,
        "cleared": batch.cleared,
    } | ({"source": batch.source} if batch.source else {})


# How many inputs is the profile's to say; how long one takes is the machine's.
fuzzing = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@fuzzing
@given(bodies() | st.binary(max_size=200))
def test_a_body_is_refused_or_read_back_the_same(body: bytes) -> None:
    now = FakeClock().now
    try:
        batch = read(body, LIMITS, now)
    except InvalidBatch as problem:
        event("refused")
        json.dumps(problem.mistakes, ensure_ascii=False).encode()
        return
    event("accepted")
    again = json.dumps(as_data(batch), ensure_ascii=False, allow_nan=False).encode()
    assert read(again, LIMITS, now) == batch


@fuzzing
@given(st.lists(bodies(), min_size=1, max_size=3))
def test_what_is_pushed_comes_out_everywhere_or_changes_nothing(pushed: list[bytes]) -> None:
    store = SharedStats.create(clock=FakeClock(), limits=LIMITS, trigger_types=("raid",))
    exposition = Exposition(store, CollectorRegistry())
    for body in pushed:
        before = store.snapshot()
        try:
            apply(store, body)
        except InvalidBatch:
            assert store.snapshot() == before
        comes_out(store, exposition)


@fuzzing
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), names, min_size=1))
def test_any_names_come_out_everywhere(given_names: dict[str, str]) -> None:
    limits = Limits(name_length=10_000, trigger_types=10_000)
    store = SharedStats.create(clock=FakeClock(), limits=limits, trigger_types=())
    for number, (name, kind) in enumerate(given_names.items()):
        store.update_viewers(name, number)
        store.update_velocity(name, number / 3)
        store.update_recording_status(name, bool(number % 2))
        store.add_trigger(kind, name)
    comes_out(store, Exposition(store, CollectorRegistry()))


@fuzzing
@given(
    st.text() | st.sampled_from([OPENMETRICS, "text/plain", "*/*;q=0"]),
    st.text() | st.sampled_from(["gzip", "gzip;q=0"]),
    st.frozensets(st.text() | st.sampled_from([VIEWERS.name, "clipper_viewers_total"]), max_size=3),
)
def test_a_scrape_may_ask_for_anything(accept: str, encoding: str, wanted: frozenset[str]) -> None:
    store = SharedStats.create(clock=FakeClock())
    store.update_viewers("xQc", 1)
    scrape = Exposition(store, CollectorRegistry()).scrape(accept, encoding, wanted)
    assert scrape.content_type.startswith(("text/plain; version=", "application/openmetrics-text; version="))
    assert scrape.gzipped == scrape.body.startswith(b"\x1f\x8b")


def comes_out(store: SharedStats, exposition: Exposition) -> None:
    """The exposition, the JSON and the event stream hold what the store holds, and no line or event more."""
    stats = store.get_all_stats()
    gauges: list[tuple[str, dict[str, Any]]] = [
        (VIEWERS.name, stats["viewer_counts"]),
        (CHAT_VELOCITY.name, stats["chat_velocities"]),
        (RECORDING.name, stats["recording_status"]),
    ]
    triggers = {(row.streamer, kind): float(number) for row in store.rows() for kind, number in row.triggers.items()}
    for accept, parser in (("text/plain", parse_text), (OPENMETRICS, parse_openmetrics)):
        text = exposition.scrape(accept, "", frozenset()).body.decode()
        # Every line that is no comment is a sample: the parsers skip what they take for an empty line.
        lines = [line for line in text.split("\n")[:-1] if not line.startswith("#")]
        found = [sample for family in parser(text) for sample in family.samples]
        assert len(found) == len(lines)
        for name, expected in gauges:
            values = {each.labels[STREAMER]: each.value for each in found if each.name == name}
            assert values == {streamer: float(value) for streamer, value in expected.items()}
        fired = {(each.labels[STREAMER], each.labels[TYPE]): each.value for each in found if each.name == TRIGGERS.name}
        assert fired == triggers
    sent = Push("snapshot", store.instance, 1, json.dumps(stats, ensure_ascii=False, allow_nan=False).encode())
    assert dict(events(b"".join(sent.pieces()))) == {"snapshot": stats}


def events(stream: bytes) -> Iterator[tuple[str, Any]]:
    """Parse an event stream: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream."""
    text = stream.decode().replace("\r\n", "\n").replace("\r", "\n")
    assert text.endswith("\n\n")
    for block in text[:-2].split("\n\n"):
        fields = [line.partition(": ")[::2] for line in block.split("\n")]
        assert [name for name, _ in fields] == ["id", "event", "data"]
        yield dict(fields)["event"], json.loads(dict(fields)["data"])
