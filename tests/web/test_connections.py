"""Slow, malformed and too many connections are refused, while scrapes get in."""

from __future__ import annotations

import json
import logging
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import requests
import trustme
from prometheus_client import CollectorRegistry

from exporter import SharedStats
from exporter.metrics import HTTP_REFUSED
from exporter.settings.options import HttpLimits
from exporter.web import body as bodies
from exporter.web.server import Server, serve
from tests.certificates import write_pair
from tests.waiting import wait_for
from tooling.processes import local_session

SSE = b"GET /api/stats HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    with ExitStack() as running:

        def start(limits: HttpLimits, **options: object) -> Server:
            store = SharedStats.create()
            return running.enter_context(
                serve(0, stats=store, registry=CollectorRegistry(), limits=limits, **options)  # type: ignore[arg-type]
            )

        yield start


def refused(server: Server) -> dict[str, float]:
    """Scrape, on a connection of its own, and return the refusals that there have been, by reason."""
    text = requests.get(server.url + "/metrics", headers={"Connection": "close"}, timeout=10).text
    counts = re.findall(rf'^{HTTP_REFUSED.name}{{reason="(\w+)"}} (\S+)', text, re.MULTILINE)
    return {reason: float(count) for reason, count in counts if float(count)}


def connect(server: Server, *said: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    for each in said:
        connection.sendall(each)
    return connection


def read_to_the_end(connection: socket.socket) -> bytes:
    answer = b""
    try:
        while chunk := connection.recv(65536):
            answer += chunk
    except ConnectionResetError:
        pass  # ended, too
    return answer


def read_one(connection: socket.socket) -> bytes:
    answer = b""
    while not answer.endswith(b"healthy.\n"):
        answer += connection.recv(65536)
    return answer


@pytest.mark.parametrize("said", [b"", b"GET /metrics HTTP/1.1\r\nHost: lo", b"G"])
def test_a_client_that_does_not_come_to_the_point_is_closed(start: Callable[..., Server], said: bytes) -> None:
    server = start(HttpLimits(header_seconds=0.3))
    began = time.monotonic()
    with closing(connect(server, said)) as slow:
        answer = read_to_the_end(slow)
    assert 0.25 < time.monotonic() - began < 5
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'{"error": "the request line and headers did not arrive within 0.3 s", "details": []}' in answer
    assert refused(server) == {"header_time": 1}


def test_slow_loris(start: Callable[..., Server], caplog: pytest.LogCaptureFixture) -> None:
    """Fifty clients send a header now and then, for ever; each is closed in time, and scrapes go on meanwhile."""
    server = start(HttpLimits(header_seconds=0.5))
    with ExitStack() as clients:
        slow = [clients.enter_context(closing(connect(server, b"GET / HTTP/1.1\r\n"))) for _ in range(50)]
        opened = time.monotonic()
        open_still = set(slow)
        while open_still:
            assert time.monotonic() - opened < 10
            assert "header_time" not in refused(server) or time.monotonic() - opened > 0.4
            for client in list(open_still):
                try:
                    client.sendall(b"X-More: 1\r\n")
                except OSError:
                    open_still.discard(client)
    assert refused(server) == {"header_time": 50}
    # Fifty refusals, and one line.
    assert [record.name for record in caplog.records if "--limit.header-time" in record.message] == ["exporter.http"]


def test_a_second_request_has_its_own_time(start: Callable[..., Server]) -> None:
    server = start(HttpLimits(header_seconds=0.3))
    request = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with closing(connect(server, request)) as client:
        assert read_one(client).startswith(b"HTTP/1.1 200 ")
        time.sleep(0.4)  # idle between requests is no fault
        client.sendall(request)
        assert read_one(client).startswith(b"HTTP/1.1 200 ")
        client.sendall(request[:20])
        assert read_to_the_end(client).startswith(b"HTTP/1.1 408 ")
    assert refused(server) == {"header_time": 1}


@pytest.mark.parametrize("pieces", [1, 2000])
def test_headers_that_are_too_large_are_refused(start: Callable[..., Server], pieces: int) -> None:
    server = start(HttpLimits(header_bytes=2000))
    with closing(connect(server, b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n")) as client:
        for _ in range(pieces):
            try:
                client.sendall(b"X-More: " + b"x" * (20000 // pieces) + b"\r\n")
            except OSError:
                break  # refused already
        else:
            client.sendall(b"\r\n")
        answer = read_to_the_end(client)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"request line and headers too large (limit 2000 bytes)" in answer
    assert refused(server) == {"header_bytes": 1}


@pytest.mark.parametrize(
    "said", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"what?\r\n\r\n", b"GET / HTTP/1.1\r\nHost\r\n\r\n"]
)
def test_what_is_not_http_is_refused_and_not_shown_at_length(
    start: Callable[..., Server], said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    server = start(HttpLimits(header_seconds=0.3))
    for _ in range(3):
        with closing(connect(server, said)) as client:
            assert re.match(rb"HTTP/1.1 (400|408|505) ", read_to_the_end(client))
    assert sum(refused(server).values()) == 3
    assert len(caplog.records) == 1


def test_a_body_of_broken_chunks_is_refused_once(
    start: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    server = start(HttpLimits())
    head = b"POST /api/stats HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n"
    for media_type in (b"application/json", b"text/xml"):
        for said in ((head % media_type + b"zz\r\n",), (head % media_type, b"2\r\n{}\r\n", b"zz\r\n")):
            with closing(connect(server, *said)) as broken:
                assert read_to_the_end(broken).startswith(b"HTTP/1.1 4")
    assert refused(server).keys() == {"malformed"}
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_the_idle_make_room_and_a_scrape_always_gets_in(start: Callable[..., Server]) -> None:
    server = start(HttpLimits(connections=8, subscribers=4))
    with ExitStack() as clients:
        subscribers = [clients.enter_context(closing(connect(server, SSE))) for _ in range(4)]
        for subscriber in subscribers:
            assert subscriber.recv(15) == b"HTTP/1.1 200 OK"
        # Many more than there are places: each has one for a while.
        idle = [clients.enter_context(closing(connect(server))) for _ in range(30)]
        assert refused(server)["idle"] == 30 - 4 + 1
        assert read_to_the_end(idle[0]) == b""
        # Nobody who is busy has been closed for it.
        for subscriber in subscribers:
            subscriber.setblocking(False)
            while True:
                try:
                    assert subscriber.recv(65536) != b""
                except BlockingIOError:
                    break


def test_a_kept_connection_is_not_refused_when_others_take_all_places(start: Callable[..., Server]) -> None:
    server = start(HttpLimits(connections=3, subscribers=2))
    with requests.Session() as prometheus, ExitStack() as clients:
        prometheus.get(server.url + "/metrics", timeout=10)
        for _ in range(2):
            assert clients.enter_context(closing(connect(server, SSE))).recv(15) == b"HTTP/1.1 200 OK"
        for _ in range(3):
            assert prometheus.get(server.url + "/metrics", timeout=10).status_code == 200


def test_when_everybody_is_busy_a_newcomer_is_refused(start: Callable[..., Server]) -> None:
    server = start(HttpLimits(connections=2, subscribers=1))
    push = (
        b"POST /api/stats HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    )
    with closing(connect(server, SSE)) as one, closing(connect(server, push)) as two:
        assert one.recv(15) == b"HTTP/1.1 200 OK"
        assert two.recv(65536).startswith(b"HTTP/1.1 100 ")
        with closing(connect(server)) as newcomer:
            answer = read_to_the_end(newcomer)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"too many connections (limit 2)" in answer
        two.sendall(b"{}")
        assert two.recv(15) == b"HTTP/1.1 200 OK"
    assert refused(server) == {"connections": 1}


def test_too_many_subscribers_are_refused_and_places_come_free(start: Callable[..., Server]) -> None:
    server = start(HttpLimits(connections=20, subscribers=2))
    polling = server.url + "/socket.io/?EIO=4&transport=polling"
    with closing(connect(server, SSE)) as one:
        assert one.recv(15) == b"HTTP/1.1 200 OK"
        with closing(connect(server, SSE)) as two:
            assert two.recv(15) == b"HTTP/1.1 200 OK"
            for url, accept in ((server.url + "/api/stats", "text/event-stream"), (polling, "*/*")):
                refusal = requests.get(url, headers={"Accept": accept}, timeout=10)
                assert refusal.status_code == 503
                assert refusal.headers["Retry-After"] == "10"
                assert refusal.json()["error"] == "too many live subscribers (limit 2)"
            assert refused(server) == {"subscribers": 2}
        wait_for(lambda: requests.get(polling, timeout=10).status_code == 200)
    # A session without a connection takes a place as well, as does the next one.
    assert requests.get(polling, timeout=10).status_code == 200
    assert requests.get(polling, timeout=10).status_code == 503
    for almost in ("&xsid=1", "&sid=", "&x=sid=1"):
        assert requests.get(polling + almost, timeout=10).status_code == 503


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_body_that_does_not_arrive_takes_no_subscriber_s_place(
    start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.5)
    server = start(HttpLimits(connections=20, subscribers=2))
    polling = "/socket.io/?EIO=4&transport=polling"
    sid = json.loads(requests.get(server.url + polling, timeout=10).text[1:])["sid"]
    request = f"{method} {polling}&sid={sid} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n".encode()
    with ExitStack() as clients:
        slow = [clients.enter_context(closing(connect(server, request, b"4"))) for _ in range(4)]
        subscriber = clients.enter_context(closing(connect(server, SSE)))
        assert subscriber.recv(15) == b"HTTP/1.1 200 OK"
        for client in slow:
            answer = read_to_the_end(client)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"the body did not arrive within 0.5 s" in answer
    assert refused(server) == {"malformed": 4}


def test_a_body_without_an_end_is_refused(start: Callable[..., Server]) -> None:
    server = start(HttpLimits())
    piece = b"10000\r\n" + b"4" * 65536 + b"\r\n"
    said = b"POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with closing(connect(server, said, piece, piece)) as client:
        assert client.recv(1024).startswith(b"HTTP/1.1 413 ")
    assert refused(server) == {"malformed": 1}


class TestTls:
    @pytest.fixture
    def web_config(self, tmp_path: Path) -> Path:
        write_pair(tmp_path, trustme.CA())
        file = tmp_path / "web.yml"
        file.write_text("tls_server_config: {cert_file: server.pem, key_file: server-key.pem}\n")
        return file

    def scrape(self, server: Server, web_config: Path) -> str:
        with local_session() as session:
            return session.get(server.url + "/metrics", verify=str(web_config.with_name("ca.pem")), timeout=10).text

    def test_a_handshake_that_stalls_is_closed(self, start: Callable[..., Server], web_config: Path) -> None:
        server = start(HttpLimits(header_seconds=0.3), web_config=web_config)
        with closing(connect(server)) as silent, closing(connect(server, b"\x16\x03\x01\x02")) as halting:
            assert read_to_the_end(silent) == read_to_the_end(halting) == b""
        assert f'{HTTP_REFUSED.name}{{reason="handshake"}} 2.0\n' in self.scrape(server, web_config)

    def test_handshakes_take_places_and_make_room(self, start: Callable[..., Server], web_config: Path) -> None:
        server = start(HttpLimits(connections=4, subscribers=1), web_config=web_config)
        with ExitStack() as clients:
            for _ in range(20):
                clients.enter_context(closing(connect(server)))
            text = self.scrape(server, web_config)
        assert f'{HTTP_REFUSED.name}{{reason="idle"}} 17.0\n' in text
        assert "clipper_exporter_http_connections 4.0\n" in text

    def test_no_request_is_answered_before_the_handshake(self, start: Callable[..., Server], web_config: Path) -> None:
        server = start(HttpLimits(), web_config=web_config)
        with closing(connect(server, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")) as client:
            assert b"HTTP" not in read_to_the_end(client)
        assert f'{HTTP_REFUSED.name}{{reason="handshake"}} 1.0\n' in self.scrape(server, web_config)

    def test_a_request_in_the_same_breath_as_the_handshake(
        self, start: Callable[..., Server], web_config: Path
    ) -> None:
        server = start(HttpLimits(), web_config=web_config)
        context = ssl.create_default_context(cafile=web_config.with_name("ca.pem"))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        with closing(connect(server)) as wire:
            while True:
                try:
                    client.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    wire.sendall(outgoing.read())
                    incoming.write(wire.recv(65536))
            client.write(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n")
            wire.sendall(outgoing.read())  # the last of the handshake, and the request
            answer = b""
            while not answer:
                incoming.write(wire.recv(65536))
                try:
                    answer = client.read()
                except ssl.SSLWantReadError:
                    continue
        assert answer.startswith(b"HTTP/1.1 200 OK")

    def test_a_stop_does_not_wait_for_an_idle_client(self, start: Callable[..., Server], web_config: Path) -> None:
        server = start(HttpLimits(), web_config=web_config)
        with local_session() as session:
            session.get(server.url + "/-/healthy", verify=str(web_config.with_name("ca.pem")), timeout=10)
            began = time.monotonic()
            server.stop()
        assert time.monotonic() - began < 1.5
        assert not server.running


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"connections": 0}, "connections: 0 is not a whole number of at least 1"),
        ({"header_bytes": 1.5}, "header_bytes: 1.5 is not a whole number of at least 1"),
        ({"header_seconds": 0}, "header_seconds: 0 is not a number of seconds above 0"),
        (
            {"connections": 8, "subscribers": 8},
            "subscribers: 8 live subscribers leave no connection for scrapes (connections: 8)",
        ),
    ],
)
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, int], expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        HttpLimits(**wrong)


def test_a_host_program_keeps_its_uvicorn_logger(start: Callable[..., Server]) -> None:
    before = logging.getLogger("uvicorn.error").level
    start(HttpLimits())
    assert logging.getLogger("uvicorn.error").level == before
