"""The way to an exporter: one request, one answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import requests

from exporter import __version__

_PATH: Final = "/api/stats"
_THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_CHUNK: Final = 4096
_CHUNKS: Final = 16  # far more than an exporter says


class Answer(NamedTuple):
    """What came back: the HTTP status, the body's text, and the seconds that ``Retry-After`` asks for, else 0."""

    status: int
    text: str
    retry_after: float = 0.0


Transport = Callable[[bytes], Answer]
"""Posts a body and returns the answer, whatever its status; raises ``OSError`` if none came."""


class HttpTransport:
    """Posts to an exporter's ``/api/stats`` over one connection, kept open. Belongs to one thread.

    ``url`` is where the exporter is, ``http://host:9309`` or with a path before ``/api/stats``; ``timeout`` is in
    seconds, for connecting and for each wait for bytes; ``session`` is for what ``requests`` can and this does not
    name: other certificates, a proxy. Raises ``ValueError`` for a URL or a token that cannot be one.
    """

    def __init__(
        self, url: str, token: str | None = None, *, timeout: float = 5.0, session: requests.Session | None = None
    ) -> None:
        host = _host(url)
        if token is not None and not re.fullmatch(r"[!-~]+", token):
            raise ValueError("token: expected one word of ASCII characters")  # not shown: it is a secret
        self.url = url.rstrip("/").removesuffix(_PATH) + _PATH
        self._timeout = timeout
        self._token = token
        self._session = requests.Session() if session is None else session
        if session is None and host in _THIS_MACHINE:
            # A proxy for the internet has no business between two programs of one machine.
            self._session.trust_env = False

    def __call__(self, body: bytes) -> Answer:
        """Post ``body``, which is JSON."""
        with self._session.post(
            self.url,
            data=body,
            headers={"Content-Type": "application/json", "User-Agent": f"clipper-exporter/{__version__}"},
            # Given as auth, for else a .netrc would replace the header.
            auth=None if self._token is None else self._authorize,
            timeout=self._timeout,
            allow_redirects=False,  # the method would become GET
            stream=True,
        ) as response:
            text = b"".join(islice(response.iter_content(_CHUNK), _CHUNKS)).decode(errors="replace")
            retry_after = response.headers.get("Retry-After", "")
            seconds = float(retry_after) if re.fullmatch("[0-9]{1,6}", retry_after) else 0.0
            return Answer(response.status_code, text, seconds)

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _host(url: str) -> str:
    problem = ValueError(f"url: expected an address such as http://127.0.0.1:9309, got {_without_password(url)!r}")
    if not re.fullmatch(r"https?://[^\s\"'<>?#]+", url):
        raise problem
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port  # looked at, because it is checked only then
    except ValueError:
        raise problem from None
    if not host:
        raise problem
    return host


def _without_password(url: str) -> str:
    return re.sub(r"^(\w+://)?.*@", r"\1***@", url)
