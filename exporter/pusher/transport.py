"""The transport to an exporter: one request, one answer."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Callable
from itertools import islice
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

import requests

from exporter._version import __version__

_PATH: Final = "/api/stats"
_THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_CHUNK: Final = 4096
_CHUNKS: Final = 16  # far more than an exporter's answer has


class Answer(NamedTuple):
    """A response: the HTTP status, the text of the body, and the seconds of ``Retry-After`` (0 without it)."""

    status: int
    text: str
    retry_after: float = 0.0


Transport = Callable[[bytes], Answer]
"""Posts a body and returns the answer with any status; raises ``OSError`` if there is none."""


class HttpTransport:
    """Posts to an exporter's ``/api/stats`` over one persistent connection. Use it from one thread only.

    ``url`` is the exporter's, such as ``http://host:9309``, with an optional path before ``/api/stats``. If the
    exporter has users and no ``token``, the URL holds a user name and password, percent-encoded, before the host.
    ``timeout`` is in seconds, for connecting and for each wait for bytes. ``session`` is a ``requests`` session with
    other settings, such as a client certificate or a proxy. Certificates are verified against the authorities in the
    file named by ``REQUESTS_CA_BUNDLE``, also on this machine. Raises ``ValueError`` for an invalid URL or token.
    """

    def __init__(
        self, url: str, token: str | None = None, *, timeout: float = 5.0, session: requests.Session | None = None
    ) -> None:
        url, host, user = _parts(url)
        if token is not None and not re.fullmatch(r"[!-~]+", token):
            raise ValueError("token: expected one word of ASCII characters")  # a secret, so not shown
        if token is not None and user is not None:
            raise ValueError("token: the url already has a user name and password; give one or the other")
        self.url = url.rstrip("/").removesuffix(_PATH) + _PATH
        self._timeout = timeout
        self._authorization = f"Bearer {token}" if token is not None else _basic(user) if user is not None else None
        self._session = requests.Session() if session is None else session
        if session is None and host in _THIS_MACHINE:
            # Ignore proxies between programs on one machine, but not the authorities in the environment.
            self._session.trust_env = False
            self._session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True

    def __call__(self, body: bytes) -> Answer:
        """Post a JSON body and return the answer."""
        with self._session.post(
            self.url,
            data=body,
            headers={"Content-Type": "application/json", "User-Agent": f"clipper-exporter/{__version__}"},
            # Passed as auth; otherwise a .netrc would replace the header.
            auth=None if self._authorization is None else self._authorize,
            timeout=self._timeout,
            allow_redirects=False,  # a redirect would change the method to GET
            stream=True,
        ) as response:
            text = b"".join(islice(response.iter_content(_CHUNK), _CHUNKS)).decode(errors="replace")
            retry_after = response.headers.get("Retry-After", "")
            seconds = float(retry_after) if re.fullmatch("[0-9]{1,6}", retry_after) else 0.0
            return Answer(response.status_code, text, seconds)

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = str(self._authorization)
        return request


def _parts(url: str) -> tuple[str, str, str | None]:
    """Return a URL without its user name and password, its host, and the user name and password as written."""
    problem = ValueError(f"url: expected an address such as http://127.0.0.1:9309, got {_without_password(url)!r}")
    if not re.fullmatch(r"https?://[^\s\"'<>?#]+", url):
        raise problem
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port  # urlsplit checks the port only when it is read
        url.encode()
    except ValueError:
        raise problem from None
    if not host or "@" in parts.path:  # a slash in a password would split it
        raise problem
    user, at, place = parts.netloc.rpartition("@")
    # Kept apart from the URL, which appears in the messages of exceptions.
    return parts._replace(netloc=place).geturl(), host, user if at else None


def _basic(user: str) -> str:
    """Return the Authorization header of RFC 7617, in UTF-8; ``requests`` would use Latin-1."""
    name, password = (unquote_to_bytes(part) for part in user.partition(":")[::2])
    if b":" in name:
        raise ValueError("url: expected a user name without a colon")  # the URL holds a secret, so not shown
    return f"Basic {b64encode(name + b':' + password).decode()}"


def _without_password(url: str) -> str:
    return re.sub(r"^(\w+://)?.*@", r"\1***@", url)
