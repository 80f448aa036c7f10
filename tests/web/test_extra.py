"""The server without the extra ``socketio``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
import requests
from prometheus_client import CollectorRegistry

from exporter import Server, SharedStats, serve

MISSING = "Socket.IO is not installed: pip install 'clipper-exporter[socketio]'"
EXTRA = ("socketio", "engineio", "wsproto")


@pytest.fixture
def store() -> SharedStats:
    return SharedStats.create()


@pytest.fixture
def server(store: SharedStats, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in list(sys.modules):
        if name.partition(".")[0] in EXTRA or name in {
            "exporter.live.socketio",
            "exporter.web.websocket",
            "uvicorn.protocols.websockets.wsproto_impl",
        }:
            monkeypatch.delitem(sys.modules, name)
    for name in EXTRA:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError):
        import socketio  # noqa: F401, PLC0415
    with serve(0, stats=store, registry=CollectorRegistry(), cors_origins=["https://a.example"]) as server:
        yield server


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_socketio_is_not_implemented_and_says_what_to_install(server: Server, method: str) -> None:
    response = requests.request(method, f"{server.url}/socket.io/?EIO=4&transport=polling", timeout=10)
    assert response.status_code == 501
    assert response.headers["Content-Type"] == "application/json"
    assert response.json() == {"error": MISSING, "details": [f"{method} /socket.io/"]}


def test_a_websocket_is_told_as_well(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    response = requests.get(f"{server.url}/socket.io/?EIO=4&transport=websocket", headers=upgrade, timeout=10)
    assert (response.status_code, response.json()["error"]) == (501, MISSING)
    assert caplog.records == [], "clients that ask again and again do not fill the log"


def test_all_else_is_there(server: Server, store: SharedStats) -> None:
    body = {"viewer_counts": {"xQc": 5}, "triggers": [{"streamer": "xQc", "type": "keyword"}]}
    assert requests.post(f"{server.url}/api/stats", json=body, timeout=10).json()["applied"] == 2
    assert 'clipper_viewers{streamer="xQc"} 5.0\n' in requests.get(f"{server.url}/metrics", timeout=10).text
    assert requests.get(f"{server.url}/api/stats", timeout=10).json()["viewer_counts"] == {"xQc": 5}
    assert "app.js" in requests.get(server.url, timeout=10).text
    events = {"Accept": "text/event-stream"}
    with requests.get(f"{server.url}/api/stats", headers=events, stream=True, timeout=10) as stream:
        assert next(line for line in stream.iter_lines() if line.startswith(b"event")) == b"event: snapshot"
    assert "exporter.live.socketio" not in sys.modules
