"""Socket.IO with clients that misbehave: https://socket.io/docs/v4/engine-io-protocol/ spoken by hand."""

from __future__ import annotations

import json
import logging
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from starlette.applications import Starlette
from starlette.routing import Mount
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request, TextMessage

from exporter import SharedStats, emit_stats_update
from exporter.live.hub import Hub
from exporter.live.socketio import Sockets
from exporter.metrics import LIVE_DROPPED, LIVE_SUBSCRIBERS
from exporter.settings.options import ServeOptions
from exporter.web.listener import listen
from exporter.web.server import Server
from tests.own import own_value

DEADLINE = 20.0  # seconds
REQUEST = '42["stats_update"]'.replace("stats_update", "request_stats")
REQUEST_WITH_REPLY = '420["request_stats"]'


@dataclass
class Running:
    store: SharedStats
    hub: Hub
    sockets: Sockets
    server: Server

    def queues(self) -> list[Any]:
        """What Engine.IO keeps for each of its clients."""
        return [engine.queue for engine in self.sockets._server.eio.sockets.values()]

    def push(self, times: int) -> None:
        """Change the store until subscribers were told so many times."""
        told = self.hub.pushed + times
        wait_until(lambda: self._change() or self.hub.pushed >= told)

    def _change(self) -> bool:
        for number in range(500):
            self.store.update_viewers(f"{number:0128}", self.hub.pushed)
        emit_stats_update()
        return False

    def dropped(self) -> int:
        return int(own_value(self.hub.own, LIVE_DROPPED, "socketio"))


@pytest.fixture
def running() -> Iterator[Running]:
    store = SharedStats.create()
    hub = Hub(store, interval=0.01)
    sockets = Sockets(hub)
    options = ServeOptions(port=0)
    app = Starlette(routes=[Mount("/socket.io", sockets.app)])
    with Server(app, listen(options.listen), options, hub) as server:
        yield Running(store, hub, sockets, server)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come to hold"
        time.sleep(0.002)


class Polling:
    """A client over long polling, which polls only when told to."""

    def __init__(self, server: Server, *, connect: bool = True) -> None:
        self.session = requests.Session()
        self.url = f"{server.url}/socket.io/?EIO=4&transport=polling"
        self.url += "&sid=" + json.loads(self.poll()[0][1:])["sid"]
        if connect:
            assert self.post("40").status_code == 200
            assert self.poll()[0].startswith('40{"sid":')

    def post(self, *packets: str) -> requests.Response:
        return self.session.post(self.url, data="\x1e".join(packets).encode(), timeout=DEADLINE)

    def poll(self) -> list[str]:
        return self.session.get(self.url, timeout=DEADLINE).content.decode().split("\x1e")


class WebSocket:
    """A client over WebSocket, which never reads once it is connected."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self._protocol = WSConnection(ConnectionType.CLIENT)
        target = "/socket.io/?EIO=4&transport=websocket"
        self.socket.sendall(self._protocol.send(Request(host="localhost", target=target)))
        seen: list[Any] = []
        while not any(isinstance(event, AcceptConnection) for event in seen):
            self._protocol.receive_data(self.socket.recv(4096))
            seen += self._protocol.events()
        self.send("40")

    def send(self, *packets: str) -> None:
        self.socket.sendall(b"".join(self._protocol.send(TextMessage(data=packet)) for packet in packets))


def stats_of(packets: list[str]) -> list[dict[str, Any]]:
    found = [json.loads(packet[2:]) for packet in packets if packet.startswith("42")]
    assert all(name == "stats_update" for name, _ in found)
    return [stats for _, stats in found]


def test_a_client_that_never_polls_has_one_snapshot_waiting(running: Running) -> None:
    client = Polling(running.server)
    client.post(REQUEST)
    running.push(100)
    [queue] = running.queues()
    assert queue.qsize() == 1
    running.push(100)
    assert queue.qsize() == 1
    waiting = stats_of(client.poll())
    assert len(waiting) == 1
    assert waiting[0]["viewer_counts"] != running.store.viewer_counts
    # The next one is the newest: nothing of what was in between.
    assert stats_of(client.poll()) == [running.store.get_all_stats()]
    assert running.dropped() >= 100


def test_a_client_that_never_reads_its_websocket_costs_no_memory(running: Running) -> None:
    client = WebSocket(running.server)
    with client.socket:
        client.send(REQUEST)
        wait_until(lambda: own_value(running.hub.own, LIVE_SUBSCRIBERS, "socketio") == 1)
        # Of 75 kB each: what the connection holds is full after some, and then the queue is not empty.
        [queue] = running.queues()
        wait_until(lambda: running._change() or (running.hub.pushed > 50 and queue.qsize() == 1))
        tracemalloc.start()
        try:
            running.push(10)
            before = tracemalloc.get_traced_memory()[0]
            running.push(100)
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert queue.qsize() == 1
        assert grown < 1_000_000  # and not 100 times 75 kB
        # Meanwhile somebody else is served.
        other = Polling(running.server)
        other.post(REQUEST)
        assert stats_of(other.poll()) == [running.store.get_all_stats()]


@pytest.mark.parametrize("packet", [REQUEST, REQUEST_WITH_REPLY, "5", "40/elsewhere,", "40"])
def test_a_flood_over_long_polling_without_a_poll_is_bounded(running: Running, packet: str) -> None:
    client = Polling(running.server)
    for _ in range(50):
        client.post(*[packet] * 16)
    [queue] = running.queues()
    assert queue.qsize() <= 32
    client.poll()
    client.post(REQUEST)
    while not (found := stats_of(client.poll())):
        pass
    assert found[-1] == running.store.get_all_stats()


@pytest.mark.parametrize("packet", [REQUEST, REQUEST_WITH_REPLY])
def test_a_flood_over_a_websocket_that_is_not_read_is_bounded(running: Running, packet: str) -> None:
    running._change()
    client = WebSocket(running.server)
    client.socket.settimeout(2)
    with client.socket:
        # Once the server no longer reads, because it cannot write, sending fails: that is as good.
        with suppress(TimeoutError):
            for _ in range(200):
                client.send(*[packet] * 50)
        assert all(queue.qsize() <= 32 for queue in running.queues())
        other = Polling(running.server)
        other.post(REQUEST)
        assert stats_of(other.poll()) == [running.store.get_all_stats()]


def test_pings_of_a_client_that_does_not_read_are_not_kept_for_it(running: Running) -> None:
    client = WebSocket(running.server)
    pings = bytes([0x89, 0x80 | 125]) + bytes(4 + 125)
    [connection] = running.server._uvicorn.server_state.connections
    with client.socket:
        for _ in range(300):  # 19 MB, far more than the sockets' own buffers
            client.socket.sendall(pings * 500)
        assert connection.transport.get_write_buffer_size() < 500_000


def test_messages_are_not_compressed(running: Running) -> None:
    """A few kilobytes could be unpacked into megabytes, before anyone asks for the size of a message."""
    with socket.create_connection(("127.0.0.1", running.server.port), timeout=DEADLINE) as client:
        client.sendall(
            b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        )
        answer = client.recv(4096).lower()
    assert answer.startswith(b"http/1.1 101 ")
    assert b"permessage-deflate" not in answer


def test_a_flood_of_requests_is_answered_with_few_snapshots(running: Running) -> None:
    client = Polling(running.server)
    for _ in range(20):
        client.post(*[REQUEST] * 16)
    assert len(stats_of(client.poll())) == 1
    # All that came while that one waited is answered at once, and then no more.
    assert len(stats_of(client.poll())) == 1
    emit_stats_update()
    assert len(stats_of(client.poll())) == 1


MALFORMED = [
    "",
    "4",
    "40{",
    "42",
    "42{}",
    "42[]",
    "42[1]",
    "42[[]]",
    '42["unknown"]',
    '42["request_stats",{"much":"more"}]',
    '42["connect"]',
    '42["disconnect"]',
    "43",
    "44",
    "47",
    "49",
    "9",
    "b4AAA=",
    "bAAA",
    "x",
    "41",
    '451-["request_stats",{"_placeholder":true,"num":0}]',
    '4599999-["request_stats",{"_placeholder":true,"num":0}]',
    '461-["request_stats",{"_placeholder":true,"num":0}]',
    "4" + 10_000 * "[",
    "4" + 65_000 * "2",
    70_000 * "4",
]


@pytest.mark.parametrize("packet", MALFORMED, ids=[packet[:20] for packet in MALFORMED])
def test_malformed_packets_harm_nobody_else(
    running: Running, packet: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    bystander = Polling(running.server)
    for connect in (True, False):
        client = Polling(running.server, connect=connect)
        for _ in range(5):
            response = client.session.post(client.url, data=packet.encode(), timeout=DEADLINE)
            assert response.status_code in {200, 400}
    assert sum(record.levelno >= logging.WARNING for record in caplog.records) <= 4
    assert "Traceback" not in caplog.text
    assert capfd.readouterr().err == ""
    bystander.post(REQUEST)
    assert stats_of(bystander.poll()) == [running.store.get_all_stats()]


def test_attachments_are_not_gathered(running: Running) -> None:
    client = Polling(running.server)
    client.post('45999999999-["request_stats",{"_placeholder":true,"num":0}]')
    client.post("bAAAA")
    assert running.sockets._server._binary_packet == {}


@pytest.mark.parametrize("packet", ['42["connect",{}]', '42["connect"]', '42["disconnect",{}]', '42["disconnect"]'])
def test_an_event_called_as_a_reserved_one_makes_and_takes_no_client(running: Running, packet: str) -> None:
    client = Polling(running.server)
    for _ in range(5):
        client.post(packet)
    assert own_value(running.hub.own, LIVE_SUBSCRIBERS, "socketio") == 1
    client.post(REQUEST)
    assert stats_of(client.poll()) == [running.store.get_all_stats()]
    client.post("1")
    wait_until(lambda: own_value(running.hub.own, LIVE_SUBSCRIBERS, "socketio") == 0)


def test_pages_of_other_sites_are_refused(running: Running) -> None:
    url = f"{running.server.url}/socket.io/?EIO=4&transport=polling"
    other = requests.get(url, headers={"Origin": "https://elsewhere.example"}, timeout=DEADLINE)
    assert other.status_code == 400
    assert "Access-Control-Allow-Origin" not in other.headers
    own = requests.get(url, headers={"Origin": running.server.url}, timeout=DEADLINE)
    assert own.status_code == 200


def test_clients_are_counted_until_they_go(running: Running) -> None:
    def count() -> int:
        return int(own_value(running.hub.own, LIVE_SUBSCRIBERS, "socketio"))

    clients = [Polling(running.server) for _ in range(3)]
    assert count() == 3
    clients[0].post("41")
    clients[1].post("1")
    wait_until(lambda: count() == 1)
    clients[0].post("40")
    wait_until(lambda: count() == 2)
