"""Credentials, origins and headers, on every route."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest
import requests
import socketio
from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute, Mount, Route

from exporter import SharedStats
from exporter.live.hub import Hub
from exporter.security.reload import WebFile
from exporter.settings.options import ServeOptions
from exporter.web.app import create_app
from exporter.web.server import Server, serve, start
from tests.waiting import wait_for

AUTH = ("prometheus", "pass:wörd")
OPEN = {"/-/healthy", "/-/ready"}


def users(*names: str) -> str:
    return "basic_auth_users:\n" + "".join(
        f"  {name}: {bcrypt.hashpw(AUTH[1].encode(), bcrypt.gensalt(4)).decode()}\n" for name in names
    )


@pytest.fixture
def web_config(tmp_path: Path) -> Path:
    file = tmp_path / "web.yml"
    file.write_text(users(AUTH[0]))
    return file


@pytest.fixture
def store() -> SharedStats:
    return SharedStats.create()


@pytest.fixture
def server(store: SharedStats, web_config: Path) -> Iterator[Server]:
    with serve(0, stats=store, registry=CollectorRegistry(), web_config=web_config) as server:
        yield server


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def routes() -> list[BaseRoute]:
    store = SharedStats.create()
    return create_app(ServeOptions(), store, CollectorRegistry(), Hub(store)).routes


PATHS = sorted(
    {route.path for route in routes() if isinstance(route, Route)}
    | {f"{route.path}/?EIO=4&transport=polling" for route in routes() if isinstance(route, Mount)}
    | {"/nowhere", "/-/healthy/", "/-/nowhere", "//-/healthy", "/-/healthy/../../metrics", "/%2e/metrics"}
)


def test_the_paths_are_those_of_the_app() -> None:
    assert {"/metrics", "/api/stats", "/", "/socket.io/?EIO=4&transport=polling", *OPEN} < set(PATHS)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS"])
def test_without_credentials_every_route_but_two_is_closed(server: Server, method: str) -> None:
    statuses = {
        path: requests.request(method, server.url + path, json={} if method == "POST" else None, timeout=10).status_code
        for path in PATHS
    }
    assert {path for path, status in statuses.items() if status != 401} == OPEN


def test_with_credentials_every_route_is_open(server: Server) -> None:
    for path in PATHS:
        response = requests.get(server.url + path, headers=basic(*AUTH), timeout=10)
        assert response.status_code in {200, 404}, path
    stream = requests.get(
        server.url + "/api/stats", headers=basic(*AUTH) | {"Accept": "text/event-stream"}, stream=True, timeout=10
    )
    with stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        assert next(stream.iter_lines()).startswith(b"id: ")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic " + base64.b64encode(b"prometheus").decode(),
        "Basic " + base64.b64encode(b"\xff:\xff").decode(),
        "Basic " + base64.b64encode(b"\xed\xb2\x80:").decode(),
        "Bearer " + base64.b64encode("prometheus:pass:wörd".encode()).decode(),
        "prometheus:pass",
        basic("prometheus", "pass:word")["Authorization"],
        basic("nobody", AUTH[1])["Authorization"],
    ],
)
def test_what_are_no_credentials_are_refused(server: Server, authorization: str) -> None:
    response = requests.get(server.url + "/metrics", headers={"Authorization": authorization}, timeout=10)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Basic realm="clipper-exporter", charset="UTF-8"'
    assert response.json() == {
        "error": "missing or wrong user name or password",
        "details": ["GET /metrics"],
    }


def test_socket_io_over_a_websocket_needs_credentials(server: Server) -> None:
    # Each failure tells of itself as the client's library likes; what counts is that there is no session.
    with socketio.SimpleClient() as client, pytest.raises(socketio.exceptions.ConnectionError):
        client.connect(server.url, transports=["websocket"])
    with socketio.SimpleClient() as client:
        client.connect(server.url, transports=["websocket"], headers=basic(*AUTH))
        client.emit("request_stats")
        assert client.receive(timeout=10)[0] == "stats_update"


class TestPushing:
    @pytest.fixture(params=[None, "token"])
    def token(self, request: pytest.FixtureRequest) -> str | None:
        given: str | None = request.param
        return given

    def test_a_password_will_do_unless_there_is_a_token(
        self, store: SharedStats, web_config: Path, token: str | None
    ) -> None:
        bearer = {"Authorization": "Bearer token"}
        wrong = {"Authorization": "Bearer wrong"}
        with serve(0, "0.0.0.0", stats=store, push_token=token, web_config=web_config) as server:
            assert server.who_may_push == ("with the token" if token else "with the name and the password of a user")
            statuses = [
                requests.post(
                    server.url + "/api/stats", json={"viewer_counts": {"xQc": 1}}, headers=headers, timeout=10
                ).status_code
                for headers in ({}, basic(*AUTH), bearer, wrong)
            ]
            assert statuses == ([401, 401, 200, 401] if token else [401, 200, 401, 401])
            # The token is for pushing alone.
            assert requests.get(server.url + "/api/stats", headers=bearer, timeout=10).status_code == 401

    def test_an_emptied_file_lets_nobody_in(self, store: SharedStats, web_config: Path) -> None:
        file = WebFile(web_config)
        with start(ServeOptions(port=0, address="0.0.0.0"), store, web_file=file) as server:
            web_config.write_text("")
            file.reload()
            url = server.url + "/api/stats"
            assert requests.get(url, timeout=10).status_code == 401
            assert requests.post(url, json={}, timeout=10).status_code == 401
            assert requests.post(url, json={}, headers=basic(*AUTH), timeout=10).status_code == 200


def test_guessing_is_slowed_and_the_known_are_served(server: Server) -> None:
    with requests.Session() as prometheus:
        prometheus.headers.update(basic(*AUTH))
        assert prometheus.get(server.url + "/metrics", timeout=10).status_code == 200
        for number in range(5):
            guess = requests.get(server.url + "/metrics", headers=basic(AUTH[0], str(number)), timeout=10)
            assert guess.status_code == 401
        text = prometheus.get(server.url + "/metrics", timeout=10).text
    assert 'clipper_exporter_http_refused_total{reason="credentials"} 5.0\n' in text


def test_users_change_without_a_restart(server: Server, web_config: Path) -> None:
    web_config.write_text(users("grafana"))
    wait_for(
        lambda: requests.get(server.url + "/metrics", headers=basic("grafana", AUTH[1]), timeout=10).status_code == 200
    )
    assert requests.get(server.url + "/metrics", headers=basic(*AUTH), timeout=10).status_code == 401


class TestHeaders:
    def test_no_browser_guesses_and_no_page_is_framed(self, store: SharedStats) -> None:
        with serve(0, stats=store) as server:
            for path in PATHS:
                assert requests.get(server.url + path, timeout=10).headers["X-Content-Type-Options"] == "nosniff"
            page = requests.get(server.url, timeout=10).headers
        assert page["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in page["Content-Security-Policy"]
        assert "default-src 'none'" in page["Content-Security-Policy"]

    def test_the_operators_headers_are_on_every_response(self, store: SharedStats, web_config: Path) -> None:
        wanted = {"X-Frame-Options": "sameorigin", "Strict-Transport-Security": "max-age=1"}
        lines = "".join(f"    {name}: {value}\n" for name, value in wanted.items())
        web_config.write_text(f"http_server_config:\n  headers:\n{lines}")
        with serve(0, stats=store, web_config=web_config) as server:
            for path in PATHS:
                headers = requests.get(server.url + path, timeout=10).headers
                assert wanted.items() <= headers.items()


class TestOrigins:
    SHARED = ("/metrics", "/api/stats", "/socket.io/?EIO=4&transport=polling")
    ORIGIN = "https://grafana.example"

    def read(self, server: Server, path: str, **headers: str) -> dict[str, str]:
        """Return the headers of an answer that a browser looks at before a page of another origin may read it."""
        sent = {"Origin": self.ORIGIN} | headers
        with requests.get(server.url + path, headers=sent, timeout=10, stream=True) as response:
            return {
                name.lower(): value
                for name, value in response.headers.items()
                if name.lower().startswith("access-control-allow-") and response.status_code != 400
            }

    def test_none_by_default(self, store: SharedStats) -> None:
        with serve(0, stats=store) as server:
            for path in PATHS:
                assert "access-control-allow-origin" not in self.read(server, path)

    def test_those_that_are_named(self, store: SharedStats) -> None:
        with serve(0, stats=store, cors_origins=[self.ORIGIN]) as server:
            for path in (*self.SHARED, "/api/stats"):
                headers = self.read(server, path, Accept="text/event-stream" if path == "/api/stats" else "*/*")
                assert headers["access-control-allow-origin"] == self.ORIGIN
                assert headers["access-control-allow-credentials"] == "true"
                assert "access-control-allow-origin" not in self.read(server, path, Origin="https://evil.example")
            assert "access-control-allow-origin" not in self.read(server, "/")

    def test_all(self, store: SharedStats) -> None:
        with serve(0, stats=store, cors_origins=["*"]) as server:
            for path in self.SHARED:
                headers = self.read(server, path)
                assert headers["access-control-allow-origin"] in {"*", self.ORIGIN}
                assert "access-control-allow-credentials" not in headers

    def test_a_page_that_asks_first_may_read_and_not_push(self, store: SharedStats, web_config: Path) -> None:
        with serve(0, stats=store, cors_origins=[self.ORIGIN], web_config=web_config) as server:

            def ask(method: str, origin: str = self.ORIGIN) -> requests.Response:
                headers = {
                    "Origin": origin,
                    "Access-Control-Request-Method": method,
                    "Access-Control-Request-Headers": "authorization",
                }
                return requests.options(server.url + "/api/stats", headers=headers, timeout=10)

            assert ask("GET").status_code == 200  # a browser asks without credentials
            assert ask("POST").status_code == 400
            assert ask("GET", "https://evil.example").status_code == 400
            assert self.read(server, "/metrics")["access-control-allow-origin"] == self.ORIGIN
