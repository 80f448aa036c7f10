"""Invalid requests, which a server must refuse or ignore without lasting cost."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Final

from exporter.settings.options import ServeOptions

_ANSWER_SECONDS: Final = 15.0  # beyond the time that a body may take
_CUT_SECONDS: Final = 0.5
_DRIP_SECONDS: Final = 0.2
_DRIPS: Final = 20


def _get(target: str, *headers: str) -> bytes:
    return _request("GET", target, *headers)


def _post(body: bytes, *headers: str, media_type: str = "application/json") -> bytes:
    length = f"Content-Length: {len(body)}"
    return _request("POST", "/api/stats", f"Content-Type: {media_type}", length, *headers) + body


def _request(method: str, target: str, *headers: str) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


_UPGRADE: Final = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
_KEY: Final = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
_SOCKETIO: Final = "/socket.io/?EIO=4&transport="

REQUESTS: Final[dict[str, bytes]] = {
    "unknown method": _request("BREW", "/metrics"),
    "method of another route": _request("DELETE", "/api/stats"),
    "method in small letters": _request("get", "/metrics"),
    "a proxy's method": _request("CONNECT", "localhost:22"),
    "no target": b"GET  HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "unknown path": _get("/nothing"),
    "path out of the root": _get("/..%2f..%2f../etc/passwd"),
    "path with a NUL": _get("/%00"),
    "path that is not UTF-8": _get("/%ff%fe"),
    "long path": _get("/" + 60_000 * "a"),
    "another server's address": _get("http://elsewhere.example/metrics"),
    "unknown families": _get("/metrics?" + "&".join(f"name[]=none_{number}" for number in range(200))),
    "unknown version": b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "no headers": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": _get("/metrics", "Host: elsewhere.example"),
    "header without a colon": _get("/metrics", "no colon here"),
    "header with a NUL": _get("/metrics", "X-Name: a\0b"),
    "header that is folded": _get("/metrics", "X-Name: a", " b"),
    "many headers": _get("/metrics", *(f"X-{number}: {number}" for number in range(1_000))),
    "long header": _get("/metrics", "X-Name: " + 200_000 * "a"),
    "strange accept": _get("/metrics", "Accept: " + ",".join(f"a/{number};q=x" for number in range(500))),
    "strange event id": _get("/api/stats", "Accept: text/event-stream", "Last-Event-ID: \xff:" + 500 * "9"),
    "negative length": _request("POST", "/api/stats", "Content-Type: application/json", "Content-Length: -1"),
    "length beyond any": _request("POST", "/api/stats", "Content-Type: application/json", f"Content-Length: {10**20}"),
    "length and chunks": _post(b"{}", "Transfer-Encoding: chunked"),
    "chunks of no size": _request("POST", "/api/stats", "Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n",
    "body that is no JSON": _post(b"viewers=1"),
    "body that is not UTF-8": _post(b'{"viewer_counts": {"\xff": 1}}'),
    "body of brackets": _post(100_000 * b"["),
    "body of no numbers": _post(b'{"viewer_counts": {"a": NaN, "b": 1e999}}'),
    "body with a surrogate": _post(b'{"viewer_counts": {"\\ud800": 1}}'),
    "body of the wrong shape": _post(b'{"viewer_counts": [1], "triggers": {}, "unknown": 0}'),
    "body with many mistakes": _post(b'{"clips": [' + b",".join(5_000 * [b"0"]) + b"]}"),
    "body that is too large": _post((ServeOptions().body_bytes + 1) * b" "),
    "body of another type": _post(b"<a/>", media_type="text/xml"),
    "body that is compressed": _post(b"\x1f\x8b\x08", "Content-Encoding: gzip"),
    "pushed from another site": _post(b"{}").replace(b"Host: localhost", b"Host: elsewhere.example"),
    "unknown session": _get(_SOCKETIO + "polling&sid=none"),
    "unknown transport": _get(_SOCKETIO + "pigeon"),
    "unknown protocol": _get("/socket.io/?EIO=9&transport=polling"),
    "WebSocket without a key": _get(_SOCKETIO + "websocket", *_UPGRADE),
    "WebSocket where there is none": _get("/metrics", *_UPGRADE, _KEY),
    "WebSocket of strange frames": _get(_SOCKETIO + "websocket", *_UPGRADE, _KEY) + 500 * b"\xff\x00\x83",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(range(150)),
    "empty lines": 2_000 * b"\r\n",
    "nothing": b"",
}


async def send_garbage(port: int, tally: Counter[str], chance: random.Random) -> None:
    """Send one request after the other, whole, cut short or drop by drop, until cancelled.

    ``tally`` counts each answer's status as ``garbage NNN``, and what got none as ``garbage closed`` or, where the
    server still waited, ``garbage pending``; a status from 500 up also with the name of the request.
    """
    names = list(REQUESTS)
    while True:
        name = chance.choice(names)
        data = REQUESTS[name] or chance.randbytes(chance.randrange(200))
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            tally["garbage not connected"] += 1
            await asyncio.sleep(1)
            continue
        try:
            manner = chance.choice(("whole", "whole", "whole", "cut", "slow"))
            if manner == "cut":
                data = data[: chance.randrange(len(data) + 1)]
            answer = await send(reader, writer, data, manner)
        except ConnectionError:
            answer = "closed"
        finally:
            writer.transport.abort()
        tally[f"garbage {answer}"] += 1
        if answer.startswith("5"):
            tally[f"garbage {answer} to {name}"] += 1


async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes, manner: str) -> str:
    """Send ``data``, drop by drop if ``manner`` is ``slow``, and return the status of the answer, or why there is none.

    What was ``cut`` short is not waited for long. Raises ``ConnectionError``.
    """
    if manner == "slow":
        for _ in range(_DRIPS):
            if not writer.transport.is_closing():
                writer.write(data[:1])
                data = data[1:]
                await asyncio.sleep(_DRIP_SECONDS)
    try:
        if not writer.transport.is_closing():
            writer.write(data)
        async with asyncio.timeout(_CUT_SECONDS if manner == "cut" else _ANSWER_SECONDS):
            await writer.drain()
            line = await reader.readline()
    except TimeoutError:
        return "pending"
    except ValueError:  # a line without end, which is no status line
        return "without a status"
    if not line:
        return "closed"
    words = line.split()
    return words[1].decode("latin-1") if line.startswith(b"HTTP/1") and len(words) > 1 else "without a status"
