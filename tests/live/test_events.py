"""The event stream of ``GET /api/stats``, over real connections."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import requests
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from exporter import SharedStats, metrics
from exporter.metrics import Family
from exporter.web.server import Server, serve
from tests.subscriber import Subscriber

DEADLINE = 20.0  # seconds


@pytest.fixture
def store() -> SharedStats:
    return SharedStats.create()


@pytest.fixture
def server(store: SharedStats) -> Iterator[Server]:
    with serve(0, stats=store, registry=CollectorRegistry()) as running:
        yield running


class Stream:
    """An open event stream: reads event by event."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.response = response
        self.subscriber = Subscriber()
        self.last_id = ""

    def next(self) -> str:
        """Read and apply one event; returns its type, or ``""`` at the end of the stream."""
        fields: dict[str, str] = {}
        for line in self.response:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "" and fields:  # an empty line ends an event; a comment begins with the colon
                self.last_id = fields["id"]
                self.subscriber.apply(fields["event"], json.loads(fields["data"]))
                return fields["event"]
            if name:
                fields[name] = value
        return ""

    def until(self, condition: Callable[[Subscriber], bool]) -> None:
        while not condition(self.subscriber):
            assert self.next(), "the stream ended"


@contextmanager
def stream(server: Server, **headers: str) -> Iterator[Stream]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET", "/api/stats", headers={"Accept": "text/event-stream", **named})
    try:
        yield Stream(connection.getresponse())
    finally:
        connection.close()


def sample(server: Server, family: Family, **labels: str) -> float:
    text = requests.get(server.url + "/metrics", params={"name[]": family.name}, timeout=DEADLINE).text
    return next(
        each.value
        for parsed in text_string_to_metric_families(text)
        for each in parsed.samples
        if each.labels == labels
    )


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come to hold"
        time.sleep(0.01)


def test_a_stream_begins_with_everything_and_goes_on_with_changes(server: Server, store: SharedStats) -> None:
    store.update_viewers("ada\nlovelace \u2028 ❤", 1)
    with stream(server) as events:
        assert events.response.status == 200
        assert events.response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert events.response.headers["Cache-Control"] == "no-store"
        assert events.response.headers["Vary"] == "Accept"
        assert events.next() == "snapshot"
        assert events.subscriber.stats == store.get_all_stats()
        store.add_trigger("grace", "keyword", {"word": "first\nsecond"})
        store.clear_streamer_stats("ada\nlovelace \u2028 ❤")
        events.until(lambda subscriber: subscriber.knows(store.get_all_stats()))
        assert set(events.subscriber.events[1:]) == {"update"}


def test_who_comes_back_goes_on_where_it_was(server: Server, store: SharedStats) -> None:
    store.update_viewers("ada", 1)
    store.update_viewers("grace", 1)
    with stream(server) as events:
        events.next()
        last_id = events.last_id
    store.update_viewers("grace", 2)
    with stream(server, Last_Event_ID=last_id) as again:
        again.subscriber.stats = events.subscriber.stats
        assert again.next() == "update"
        assert again.subscriber.stats["viewer_counts"] == {"ada": 1, "grace": 2}


@pytest.mark.parametrize(
    "last_id",
    [
        "",
        ":",
        "0:1",
        "1",
        "{instance}",
        "{instance}:",
        "{instance}:-1",
        "{instance}:1e3",
        "{instance}:\u00b2",
        "{instance}:999",
        "{instance}:" + 5000 * "9",
        "{instance}:1:1",
        "\u00e4" * 100,
    ],
)
def test_an_id_that_means_nothing_gets_everything(server: Server, store: SharedStats, last_id: str) -> None:
    store.update_viewers("ada", 1)
    with stream(server, Last_Event_ID=last_id.format(instance=store.instance)) as events:
        assert events.next() == "snapshot"
        assert events.subscriber.stats == store.get_all_stats()


def test_after_a_restart_everything_comes_anew(store: SharedStats) -> None:
    with serve(0, stats=store, registry=CollectorRegistry()) as first:
        store.update_viewers("ada", 1)
        with stream(first) as events:
            events.next()
    other = SharedStats.create()
    for count in range(10):
        other.update_viewers("grace", count)
    with serve(first.port, stats=other) as second, stream(second, Last_Event_ID=events.last_id) as again:
        assert again.next() == "snapshot"
        assert again.subscriber.stats["viewer_counts"] == {"grace": 9}


@pytest.mark.parametrize("accept", ["text/event-stream", "text/html, text/event-stream;q=0.5", "TEXT/EVENT-STREAM"])
def test_only_who_asks_for_a_stream_gets_one(server: Server, accept: str) -> None:
    with stream(server, Accept=accept) as events:
        assert events.next() == "snapshot"
    for other in ("", "*/*", "text/*", "application/json", "text/event-stream;q=0"):
        response = requests.get(server.url + "/api/stats", headers={"Accept": other}, timeout=DEADLINE)
        assert response.headers["Content-Type"] == "application/json"
        assert response.headers["Vary"] == "Accept"


def test_subscribers_are_counted_until_they_go(server: Server) -> None:
    def count() -> float:
        return sample(server, metrics.LIVE_SUBSCRIBERS, transport="sse")

    assert count() == 0
    with stream(server) as one, stream(server) as two:
        one.next()
        two.next()
        assert count() == 2
    wait_until(lambda: count() == 0)


def test_stopping_ends_streams_at_once(store: SharedStats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.web.server._GRACE", 60)
    with serve(0, stats=store, registry=CollectorRegistry()) as server, stream(server) as events:
        events.next()
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 30  # requests under way would get a minute
        assert events.next() == ""


def test_one_that_does_not_read_delays_neither_writers_nor_scrapes_nor_others(
    server: Server, store: SharedStats
) -> None:
    names = [f"{number:0128}" for number in range(2000)]
    for name in names:
        store.update_viewers(name, 0)
    stuck = socket.create_connection(("127.0.0.1", server.port))
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    stuck.sendall(b"GET /api/stats HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
    stop = threading.Event()
    rounds: list[float] = []

    def write() -> None:
        while not stop.wait(0.02):
            for name in names:
                store.update_viewers(name, len(rounds))
            rounds.append(time.monotonic())

    writer = threading.Thread(target=write)
    with stuck, stream(server) as events:
        events.next()
        writer.start()
        try:
            for _ in range(20):  # pushes of 270 kB each, several times what the connection can hold
                assert events.next() == "update"
                assert sample(server, metrics.LIVE_SUBSCRIBERS, transport="sse") == 2
        finally:
            stop.set()
            writer.join()
        assert len(rounds) >= 20
        events.until(lambda subscriber: subscriber.knows(store.get_all_stats()))
        assert sample(server, metrics.LIVE_DROPPED, transport="sse") == 0
        # Now it reads. What comes is what was under way, and then the newest: not all that there was.
        late = Stream(http.client.HTTPResponse(stuck, method="GET"))
        late.response.begin()
        late.until(lambda subscriber: subscriber.knows(store.get_all_stats()))
        assert len(late.subscriber.events) < len(events.subscriber.events)
        wait_until(lambda: sample(server, metrics.LIVE_DROPPED, transport="sse") > 0)


def test_curl_shows_it(server: Server, store: SharedStats) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not here")
    store.update_viewers("ada", 1)
    command = [curl, "-sSN", "-H", "Accept: text/event-stream", server.url + "/api/stats"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        assert process.stdout is not None
        try:
            lines = iter(process.stdout)
            assert next(lines) == f"id: {store.instance}:1\n"
            assert next(lines) == "event: snapshot\n"
            assert next(lines).startswith('data: {"viewer_counts":{"ada":1},')
            assert next(lines) == "\n"
            store.update_viewers("ada", 2)
            assert [next(lines) for _ in range(4)] == [
                f"id: {store.instance}:2\n",
                "event: update\n",
                'data: {"viewer_counts":{"ada":2}}\n',
                "\n",
            ]
        finally:
            process.terminate()
