"""The health check of a container or service manager: asks the exporter of given settings whether it answers."""

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
_TLS_RECORDS: Final = {b"\x16", b"\x15"}  # handshake and alert: RFC 8446, section 5.1


def healthcheck(options: ServeOptions) -> str:
    """Check the exporter started with these options on this machine, and return its URL.

    Without TLS, ``/-/healthy`` must answer 200. With TLS, the first record of a handshake is enough: a full handshake
    may need a client certificate. Raises :class:`~exporter.errors.SettingsError` if the options do not name a port,
    and :class:`~exporter.errors.ExporterError` if the exporter does not answer within seconds.
    """
    if options.port == 0:
        raise SettingsError(
            ["--web.listen-address: port 0 cannot be checked; give the port that the exporter listens on"]
        )
    tls = options.web_config is not None and _has_tls(Path(options.web_config))
    near = options.listen.near
    url = f"{'https' if tls else 'http'}://{near}"
    try:
        if tls:
            _handshake(near)
        else:
            _get(near)
    except (OSError, http.client.HTTPException) as problem:
        reason = str(problem) or type(problem).__name__
        if not tls and isinstance(problem, ConnectionResetError | http.client.BadStatusLine):
            reason = "the response is not HTTP; if the exporter uses TLS, pass its --web.config.file here too"
        raise ExporterError(f"{url} does not answer: {reason}") from None
    return url


def _has_tls(file: Path) -> bool:
    """Return whether the web configuration file turns on TLS; other mistakes in it are left to the server."""
    from exporter.security.webconfig import asks_for_tls  # noqa: PLC0415 - needs YAML, which other checks do without

    try:
        return asks_for_tls(file.read_bytes())
    except OSError as problem:
        raise SettingsError([f"{file}: cannot be read ({problem.strerror})"]) from None
    except SettingsError as problem:
        raise SettingsError([f"{file}: {mistake}" for mistake in problem.mistakes]) from None


def _get(address: Address) -> None:
    with closing(http.client.HTTPConnection(address.host, address.port, timeout=_SECONDS)) as connection:
        connection.request("GET", _PATH)
        status = connection.getresponse().status
        if status != http.client.OK:
            raise http.client.HTTPException(f"status {status} for {_PATH}")


def _handshake(address: Address) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(incoming, outgoing, server_hostname=address.host)
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    with socket.create_connection((address.host, address.port), _SECONDS) as connection:
        connection.sendall(outgoing.read())
        first = connection.recv(1)
        if first not in _TLS_RECORDS:
            raise ConnectionError(
                "the response is not TLS" if first else "the connection was closed without a response"
            )
