"""A TCP proxy that cuts its connections at random."""

from __future__ import annotations

import random
import socket
import threading
from contextlib import suppress
from typing import Self

_CHUNK = 4096


class CuttingProxy:
    """Passes bytes on to ``target``, and ends each connection after some of them, with a reset.

    How many bytes a connection lives for, in either direction, is drawn from ``seed``: at most ``longest``.
    ``lost_requests`` and ``lost_answers`` count the connections that were cut while bytes went there or came back.
    """

    def __init__(self, target: tuple[str, int], seed: int, longest: tuple[int, int]) -> None:
        self._target = target
        self._random = random.Random(seed)
        self._longest = longest
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._closing = False
        self.lost_requests = 0
        self.lost_answers = 0
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._spawn(self._accept)

    def _spawn(self, work: object, *arguments: object) -> None:
        assert callable(work)
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # it was closed
            try:
                server = socket.create_connection(self._target, timeout=10)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
                there, back = (self._random.randrange(1, longest) for longest in self._longest)
            self._spawn(self._pass_on, client, server, there, "lost_requests")
            self._spawn(self._pass_on, server, client, back, "lost_answers")

    def _pass_on(self, source: socket.socket, sink: socket.socket, budget: int, counter: str) -> None:
        with suppress(OSError):
            while budget and (data := source.recv(min(_CHUNK, budget))):
                sink.sendall(data)
                budget -= len(data)
        with self._lock:
            if not budget and not self._closing:
                setattr(self, counter, getattr(self, counter) + 1)
            for end in {source, sink} & self._open:
                self._cut(end)
            self._open -= {source, sink}

    def _cut(self, end: socket.socket) -> None:
        with suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            end.shutdown(socket.SHUT_RDWR)  # for the thread that waits for bytes from it
        end.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closing = True
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            for end in self._open:
                self._cut(end)
            threads = tuple(self._threads)
        for thread in threads:
            thread.join(10)
