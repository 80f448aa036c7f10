"""A relay between a client and a server on this machine, which can be told to behave like a bad network."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

Mode = Literal["pass", "refuse", "mute"]

_REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Relay:
    """Listens on ``port`` and passes on to ``target``, both of 127.0.0.1, as its ``mode`` says.

    ``refuse`` cuts what is open and answers 503 to what comes. ``mute`` keeps every connection and loses every byte, as
    a network does that forgets its connections.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.refused = 0
        self._mode: Mode = "pass"
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def mode(self) -> Mode:
        """How it behaves now."""
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._mode = mode
        if mode == "refuse":
            self.cut()

    def cut(self) -> None:
        """End every connection."""
        with self._lock:
            for connection in self._open:
                # Shut down, not closed: the thread that reads from it is waiting for this.
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it."""
        with suppress(OSError):  # systems differ on shutting down what only listens
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):  # which says that it was closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if self._mode == "refuse":
            with client, suppress(OSError):
                client.recv(65536)
                client.sendall(_REFUSAL)
                self.refused += 1
            return
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self._target)) as server:
            with self._lock:
                self._open |= {client, server}
            try:
                back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
                back.start()
                self._pump(client, server)
                back.join()
            finally:
                with self._lock:
                    self._open -= {client, server}

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):  # the connection was cut at one end; so it is at the other
            while data := source.recv(65536):
                if self._mode != "mute":
                    sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def relayed(target: int) -> Iterator[Relay]:
    """Relay to the port ``target`` until the context is left."""
    relay = Relay(target)
    try:
        yield relay
    finally:
        relay.close()
