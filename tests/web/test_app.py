from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
import requests
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

import exporter
from exporter import SharedStats
from exporter.web.documents import STATIC
from exporter.web.server import Server, serve
from tests.batches import apply
from tests.clock import FakeClock
from tests.waiting import wait_for


@pytest.fixture
def store() -> SharedStats:
    return SharedStats.create(clock=FakeClock())


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def server(store: SharedStats, registry: CollectorRegistry) -> Iterator[Server]:
    with serve(0, stats=store, registry=registry) as server:
        yield server


def get(server: Server, path: str, **headers: str) -> requests.Response:
    return requests.get(server.url + path, headers=headers, timeout=10)


def test_metrics(server: Server, store: SharedStats) -> None:
    store.update_viewers("xQc", 45000)
    response = get(server, "/metrics", **{"Accept": "text/plain", "Accept-Encoding": "identity"})
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert response.headers["Vary"] == "Accept, Accept-Encoding"
    assert "Content-Encoding" not in response.headers
    assert 'clipper_viewers{streamer="xQc"} 45000.0\n' in response.text


def test_metrics_as_openmetrics_with_gzip(server: Server) -> None:
    response = get(
        server, "/metrics", **{"Accept": "application/openmetrics-text;version=1.0.0", "Accept-Encoding": "gzip"}
    )
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert response.text.endswith("# EOF\n")


def test_metrics_by_name(server: Server, store: SharedStats) -> None:
    store.update_viewers("xQc", 1)
    response = get(server, "/metrics?name[]=clipper_viewers&name[]=clipper_exporter_streamers")
    assert [line for line in response.text.splitlines() if not line.startswith("#")] == [
        'clipper_viewers{streamer="xQc"} 1.0',
        "clipper_exporter_streamers 1.0",
    ]


def test_stats(server: Server, store: SharedStats) -> None:
    store.update_viewers('x\u2028é"', 45000)
    store.add_trigger("xQc", "keyword", {"who": "é"})
    response = get(server, "/api/stats")
    assert response.json() == json.loads(json.dumps(store.get_all_stats()))
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Vary"] == "Accept"


@pytest.mark.parametrize("route", ["/-/healthy", "/-/ready"])
def test_health(server: Server, route: str) -> None:
    assert get(server, route).status_code == 200


def test_the_page_loads_and_links_to_what_there_is(server: Server) -> None:
    response = get(server, "/")
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert exporter.__version__ in response.text
    links = re.findall(r'(?:href|src)="([^"]+)"', response.text)
    assert {"./metrics", "api/stats", "style.css", "favicon.svg", "app.js"} <= set(links)
    # Relative, so that they hold behind a proxy that serves the page below a path of its own.
    assert [link for link in links if link.startswith("/") or ":" in link] == []
    for link in links:
        assert get(server, f"/{link}").status_code == 200


def test_the_page_links_to_its_neighbours(store: SharedStats, registry: CollectorRegistry) -> None:
    links = {"Prometheus": "http://prometheus.example/?a=1&b=2", "Grafana": ""}
    with serve(0, stats=store, registry=registry, telemetry_path="/scrape", links=links) as server:
        page = get(server, "/").text
    assert '<a href="http://prometheus.example/?a=1&amp;b=2">Prometheus</a>' in page
    assert ">Grafana<" not in page
    assert 'href="./scrape"' in page


@pytest.mark.parametrize(
    ("path", "media_type"),
    [("/", "text/html"), ("/style.css", "text/css"), ("/app.js", "text/javascript"), ("/favicon.svg", "image/svg+xml")],
)
def test_the_page_is_under_a_strict_policy(server: Server, path: str, media_type: str) -> None:
    response = get(server, path)
    assert response.headers["Content-Type"].startswith(media_type)
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    assert not re.search(r"<script(?![^>]* src=)|\bstyle=|\son[a-z]+=", response.text)


DOCUMENTS = ["/", "/api/openapi.json", *sorted(f"/{file.name}" for file in STATIC.iterdir() if file.suffix != ".html")]


@pytest.fixture(scope="module")
def documents() -> Iterator[Server]:
    with serve(0, stats=SharedStats.create(), registry=CollectorRegistry()) as server:
        yield server


@pytest.mark.parametrize("path", DOCUMENTS)
class TestDocument:
    """What only a new version changes is asked for again each time, and sent only if it changed."""

    def test_who_has_it_gets_304(self, documents: Server, path: str) -> None:
        first = get(documents, path)
        assert first.headers["Cache-Control"] == "no-cache"
        assert first.content
        again = get(documents, path, **{"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        for header in ("ETag", "Cache-Control", "Content-Security-Policy", "X-Content-Type-Options"):
            assert again.headers.get(header) == first.headers.get(header)

    def test_who_has_another_version_gets_the_new_one(self, documents: Server, path: str) -> None:
        headers = {"If-None-Match": '"another"', "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}
        answer = get(documents, path, **headers)
        assert (answer.status_code, answer.content) == (200, get(documents, path).content)

    def test_head_has_no_body(self, documents: Server, path: str) -> None:
        whole, head = get(documents, path), requests.head(documents.url + path, timeout=10)
        assert (head.status_code, head.content) == (200, b"")
        for header in ("ETag", "Content-Type", "Content-Length", "Content-Security-Policy"):
            assert head.headers.get(header) == whole.headers.get(header)


def test_files_of_the_page_have_a_time(documents: Server) -> None:
    modified = get(documents, "/app.js").headers["Last-Modified"]
    assert get(documents, "/app.js", **{"If-Modified-Since": modified}).status_code == 304


def test_another_page_has_another_etag(store: SharedStats, registry: CollectorRegistry, documents: Server) -> None:
    with serve(0, stats=store, registry=registry, telemetry_path="/scrape") as other:
        assert get(other, "/").headers["ETag"] != get(documents, "/").headers["ETag"]


@pytest.mark.parametrize("path", ["/index.html", "/static/app.js", "/..%2fcli.py", "/app.js%00"])
def test_nothing_else_is_served(documents: Server, path: str) -> None:
    assert get(documents, path).status_code == 404


def test_media_types_do_not_depend_on_the_machine(documents: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starlette.responses.guess_type", lambda *_, **__: ("text/plain", None))
    assert get(documents, "/app.js").headers["Content-Type"] == "text/javascript; charset=utf-8"


def test_every_module_that_the_page_loads_is_served(server: Server) -> None:
    wanted, seen = ["app.js"], set[str]()
    while wanted:
        module = wanted.pop()
        seen.add(module)
        response = get(server, f"/{module}")
        assert response.status_code == 200, module
        wanted += set(re.findall(r'from "\./([^"]+)"', response.text)) - seen
    assert len(seen) > 1


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "/nowhere", 404, {"error": "Not Found", "details": ["GET /nowhere"]}),
        ("POST", "/metrics", 405, {"error": "Method Not Allowed", "details": ["POST /metrics"]}),
        ("DELETE", "/", 405, {"error": "Method Not Allowed", "details": ["DELETE /"]}),
    ],
)
def test_errors_are_json(server: Server, method: str, path: str, status: int, error: object) -> None:
    response = requests.request(method, server.url + path, timeout=10)
    assert (response.status_code, response.json()) == (status, error)
    assert response.headers["Content-Type"] == "application/json"


def test_a_client_that_goes_away_in_the_middle_is_no_lines_in_the_log(
    server: Server, store: SharedStats, caplog: pytest.LogCaptureFixture
) -> None:
    """asyncio warns of each part that is sent to nobody; and behind a second request, none is looked out for."""
    apply(store, {"viewer_counts": {f"{number:0100}": number for number in range(30_000)}})
    request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            client.sendall(request)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # to end it with a reset
    wait_for(lambda: get(server, "/metrics").text.count("clipper_exporter_http_connections 1.0\n"))
    assert [record.getMessage() for record in caplog.records] == []


def test_a_slow_scrape_does_not_hold_up_the_event_loop(registry: CollectorRegistry, server: Server) -> None:
    entered, leave = threading.Event(), threading.Event()

    class Slow(Collector):
        def describe(self) -> list[Metric]:
            return []

        def collect(self) -> list[Metric]:
            entered.set()
            assert leave.wait(10)
            return [GaugeMetricFamily("slow", "Came late.", value=1)]

    registry.register(Slow())
    answers: list[requests.Response] = []
    scrape = threading.Thread(target=lambda: answers.append(get(server, "/metrics")))
    scrape.start()
    try:
        assert entered.wait(10)
        assert get(server, "/-/healthy").status_code == 200
        assert get(server, "/api/stats").status_code == 200
    finally:
        leave.set()
        scrape.join(10)
    assert "slow 1.0\n" in answers[0].text
