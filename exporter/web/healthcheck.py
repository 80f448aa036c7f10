"""Asking an exporter whether it answers, as whoever watches its process does: by its settings alone."""

from __future__ import annotations

import http.client
import socket
import ssl
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from exporter.errors import ExporterError, SettingsError
from exporter.settings.address import Address
from exporter.settings.options import ServeOptions

_SECONDS: Final = 2.0  # for connecting, and for each wait for bytes
_PATH: Final = "/-/healthy"
_TLS_RECORDS: Final = {b"\x16", b"\x15"}  # a handshake goes on, or an alert ends it: RFC 8446, section 5.1


def probe(options: ServeOptions) -> str:
    """Ask the exporter that was started with these options on this machine; returns where it answers.

    With TLS, its first words of a handshake are an answer: what would follow needs a certificate, or one of the
    client's. Without, ``/-/healthy`` has to be there. Raises :class:`~exporter.errors.SettingsError` if the options do
    not say where to ask, and :class:`~exporter.errors.ExporterError` if it does not answer within seconds.
    """
    if options.port == 0:
        raise SettingsError(["--web.listen-address: port 0 is not one to ask at: give the port that it listens on"])
    tls = options.web_config is not None and _has_tls(Path(options.web_config))
    near = options.listen.near
    url = f"{'https' if tls else 'http'}://{near}"
    try:
        if tls:
            _greet(near)
        else:
            _get(near)
    except (OSError, http.client.HTTPException) as problem:
        told = str(problem) or type(problem).__name__
        if not tls and isinstance(problem, ConnectionResetError | http.client.BadStatusLine):
            told = "what it says is no HTTP; if it speaks TLS, give its --web.config.file here as well"
        raise ExporterError(f"{url} does not answer: {told}") from None
    return url


def _has_tls(file: Path) -> bool:
    """Whether the web configuration turns on TLS; what else is wrong with it is the server's matter."""
    from exporter.security.webconfig import asks_for_tls  # noqa: PLC0415 - what it needs is of no use without a file

    try:
        return asks_for_tls(file.read_bytes())
    except OSError as problem:
        raise SettingsError([f"{file}: expected a file that can be read ({problem.strerror})"]) from None
    except SettingsError as problem:
        raise SettingsError([f"{file}: {mistake}" for mistake in problem.mistakes]) from None


def _get(address: Address) -> None:
    with closing(http.client.HTTPConnection(address.host, address.port, timeout=_SECONDS)) as connection:
        connection.request("GET", _PATH)
        status = connection.getresponse().status
        if status != http.client.OK:
            raise http.client.HTTPException(f"status {status} for {_PATH}")


def _greet(address: Address) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(incoming, outgoing, server_hostname=address.host)
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    with socket.create_connection((address.host, address.port), _SECONDS) as connection:
        connection.sendall(outgoing.read())
        first = connection.recv(1)
        if first not in _TLS_RECORDS:
            raise ConnectionError("what it says is no TLS" if first else "it closes the connection without a word")
