"""Live clients over bare sockets: some read what they are pushed, the others never do."""

from __future__ import annotations

import asyncio
import random
import socket
from collections import Counter
from typing import Final

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Event, Ping, Request, TextMessage

_LIFE: Final = (20.0, 90.0)  # seconds that a client stays; then another takes its place
_RECEIVE: Final = 64 * 1024
_SSE: Final = b"GET /api/stats HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
_SOCKETIO: Final = "/socket.io/?EIO=4&transport=websocket"
_ASK: Final = '42["request_stats"]'


class Ended(ConnectionError):
    """The server ended a connection, or refused it."""


async def subscribe(
    port: int, transport: str, *, reads: bool, deadline: float, tally: Counter[str], chance: random.Random
) -> None:
    """Be one client of ``transport`` (``sse`` or ``socketio``) after the other, until the loop's time is ``deadline``.

    ``tally`` counts clients, pushes and bytes read, and as lost those clients that were cut off although they read. A
    client of Socket.IO that answers no ping is cut off with good reason: that is counted as let go.
    """
    loop = asyncio.get_running_loop()
    follow = _sse if transport == "sse" else _socketio
    await asyncio.sleep(chance.random())
    while loop.time() < deadline:
        tally[f"{transport} clients"] += 1
        ends = min(deadline, loop.time() + chance.uniform(*_LIFE))
        with socket.socket() as connection:
            connection.setblocking(False)
            if not reads:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            try:
                async with asyncio.timeout_at(ends):
                    await loop.sock_connect(connection, ("127.0.0.1", port))
                    await follow(connection, reads, tally)
            except TimeoutError:
                continue
            except ConnectionError:
                tally[f"{transport} {'lost' if reads else 'let go'}"] += 1
                await asyncio.sleep(chance.random())


async def _sse(connection: socket.socket, reads: bool, tally: Counter[str]) -> None:
    await asyncio.get_running_loop().sock_sendall(connection, _SSE)
    if not reads:
        await asyncio.Event().wait()
    if not (await _receive(connection)).startswith(b"HTTP/1.1 200 "):
        raise Ended("refused")
    while True:
        data = await _receive(connection)
        tally["sse pushes"] += data.count(b"\nevent: ")
        tally["sse bytes"] += len(data)


async def _socketio(connection: socket.socket, reads: bool, tally: Counter[str]) -> None:
    protocol = WSConnection(ConnectionType.CLIENT)
    await _send(connection, protocol, Request(host="localhost", target=_SOCKETIO))
    protocol.receive_data(await _receive(connection))
    if not isinstance(next(protocol.events(), None), AcceptConnection):
        raise Ended("refused")
    for packet in ("40", _ASK):
        await _send(connection, protocol, TextMessage(packet))
    while not reads:
        await asyncio.sleep(1)
        await _send(connection, protocol, TextMessage(_ASK))
    text = ""
    while True:
        data = await _receive(connection)
        tally["socketio bytes"] += len(data)
        protocol.receive_data(data)
        for event in protocol.events():
            if isinstance(event, Ping):
                await _send(connection, protocol, event.response())
            elif isinstance(event, TextMessage):
                text += event.data
                if event.message_finished:
                    tally["socketio pushes"] += text.startswith("42")
                    if text == "2":  # Engine.IO's own ping, and its answer
                        await _send(connection, protocol, TextMessage("3"))
                    text = ""


async def _send(connection: socket.socket, protocol: WSConnection, event: Event) -> None:
    await asyncio.get_running_loop().sock_sendall(connection, protocol.send(event))


async def _receive(connection: socket.socket) -> bytes:
    data = await asyncio.get_running_loop().sock_recv(connection, _RECEIVE)
    if not data:
        raise Ended("ended")
    return data
