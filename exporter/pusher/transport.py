"""The way to an exporter: one request, one answer."""

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

    ``url`` is where the exporter is, ``http://host:9309`` or with a path before ``/api/stats``, and with the name and
    the password of a user, percent-encoded, before the host if it asks for them instead of a ``token``; ``timeout`` is
    in seconds, for connecting and for each wait for bytes; ``session`` is for what ``requests`` can and this does not
    name: a client's certificate, a proxy. Certificates of exporters are verified with the authorities in the file that
    ``REQUESTS_CA_BUNDLE`` names, as ``requests`` does, on this machine too. Raises ``ValueError`` for a URL or a token
    that cannot be one.
    """

    def __init__(
        self, url: str, token: str | None = None, *, timeout: float = 5.0, session: requests.Session | None = None
    ) -> None:
        url, host, user = _parts(url)
        if token is not None and not re.fullmatch(r"[!-~]+", token):
            raise ValueError("token: expected one word of ASCII characters")  # not shown: it is a secret
        if token is not None and user is not None:
            raise ValueError("token: expected none, for the url has a name and a password, and one header holds either")
        self.url = url.rstrip("/").removesuffix(_PATH) + _PATH
        self._timeout = timeout
        self._authorization = f"Bearer {token}" if token is not None else _basic(user) if user is not None else None
        self._session = requests.Session() if session is None else session
        if session is None and host in _THIS_MACHINE:
            # A proxy for the internet has no business between two programs of one machine; its authorities have.
            self._session.trust_env = False
            self._session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True

    def __call__(self, body: bytes) -> Answer:
        """Post ``body``, which is JSON."""
        with self._session.post(
            self.url,
            data=body,
            headers={"Content-Type": "application/json", "User-Agent": f"clipper-exporter/{__version__}"},
            # Given as auth, for else a .netrc would replace the header.
            auth=None if self._authorization is None else self._authorize,
            timeout=self._timeout,
            allow_redirects=False,  # the method would become GET
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
    """A URL without the name and the password in it, its host, and these two as they stand there, if they do."""
    problem = ValueError(f"url: expected an address such as http://127.0.0.1:9309, got {_without_password(url)!r}")
    if not re.fullmatch(r"https?://[^\s\"'<>?#]+", url):
        raise problem
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port  # looked at, because it is checked only then
        url.encode()
    except ValueError:
        raise problem from None
    if not host or "@" in parts.path:  # a slash in a password, which would be cut in two there
        raise problem
    user, at, place = parts.netloc.rpartition("@")
    # They are kept apart from the URL, which stands in the messages of exceptions.
    return parts._replace(netloc=place).geturl(), host, user if at else None


def _basic(user: str) -> str:
    """The header for a name and a password: RFC 7617, in UTF-8, where ``requests`` would take Latin-1."""
    name, password = (unquote_to_bytes(part) for part in user.partition(":")[::2])
    if b":" in name:
        raise ValueError("url: expected a user's name without a colon")  # not shown: the URL holds a secret
    return f"Basic {b64encode(name + b':' + password).decode()}"


def _without_password(url: str) -> str:
    return re.sub(r"^(\w+://)?.*@", r"\1***@", url)
