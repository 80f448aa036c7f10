from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from exporter import __version__
from exporter.pusher.transport import Answer, HttpTransport


class Request(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes
    client: tuple[str, int]


class Site(ThreadingHTTPServer):
    """Answers every POST with ``status``, ``headers`` and ``text``, and keeps the requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[Request] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.text = b'{"instance": "x"}'
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Site

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append(Request(self.path, dict(self.headers), body, self.client_address))
        self.send_response(self.server.status)
        for name, value in ({"Content-Length": str(len(self.server.text))} | self.server.headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.server.text)

    do_GET = do_POST  # noqa: N815 - the base class names it

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Say nothing."""


@contextmanager
def running(site: Site) -> Iterator[Site]:
    thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        site.shutdown()
        thread.join(10)
        site.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    with running(Site()) as site:
        yield site


@pytest.mark.parametrize("path", ["", "/", "/api/stats", "/api/stats/"])
def test_a_body_is_posted_to_the_exporters_path(site: Site, path: str) -> None:
    post = HttpTransport(site.url + path)
    assert post(b'{"clips": []}') == Answer(200, '{"instance": "x"}', 0)
    [request] = site.requests
    assert (request.path, request.body) == ("/api/stats", b'{"clips": []}')
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"] == f"clipper-exporter/{__version__}"
    assert "Authorization" not in request.headers


def test_an_exporter_may_be_below_a_path(site: Site) -> None:
    HttpTransport(f"{site.url}/clipper/")(b"{}")
    assert site.requests[0].path == "/clipper/api/stats"


def test_the_token_is_sent_whatever_a_netrc_file_says(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n", encoding="ascii")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    HttpTransport(site.url, "secret", session=requests.Session())(b"{}")
    assert site.requests[0].headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("me:mine", b"me:mine"),
        ("me:", b"me:"),
        ("me", b"me:"),
        ("me:mi:ne", b"me:mi:ne"),
        ("m%40e:100%25%2F%3F%23%3A%20", b"m@e:100%/?#: "),
        ("m%C3%BC:\u20ac%E2%82%AC", "m\u00fc:\u20ac\u20ac".encode()),
        ("me:m@ne", b"me:m@ne"),
    ],
)
def test_a_name_and_a_password_in_the_url_are_basic_auth(site: Site, given: str, sent: bytes) -> None:
    post = HttpTransport(site.url.replace("//", f"//{given}@"))
    post(b"{}")
    [request] = site.requests
    assert request.headers["Authorization"] == f"Basic {b64encode(sent).decode()}"
    assert request.path == "/api/stats"
    assert post.url == f"{site.url}/api/stats", "what is shown in messages holds no password"


@pytest.mark.parametrize(
    ("url", "token", "message"),
    [
        (
            "http://me:secret@h",
            "secret",
            "token: the url already has a user name and password; give one or the other",
        ),
        ("http://m%3Ae:secret@h", None, "url: expected a user name without a colon"),
        (
            "http://me:12/secret@h",
            None,
            "url: expected an address such as http://127.0.0.1:9309, got 'http://***@h'",
        ),
        (
            "http://me:secret\udcff@h",
            None,
            "url: expected an address such as http://127.0.0.1:9309, got 'http://***@h'",
        ),
    ],
    ids=["a token too", "a colon in the name", "a slash in the password", "no text"],
)
def test_what_cannot_be_a_password_in_a_url_is_told_without_it(url: str, token: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        HttpTransport(url, token)
    assert str(caught.value) == message
    assert "secret" not in message


def test_a_password_is_in_no_exception() -> None:
    with running(Site()) as site:
        pass
    with pytest.raises(OSError, match=r"/api/stats") as caught:
        HttpTransport(site.url.replace("//", "//me:secret@"), timeout=2)(b"{}")
    assert "secret" not in repr(caught.value)


def test_a_proxy_for_the_internet_is_not_used_on_this_machine(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:1")
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert HttpTransport(site.url)(b"{}").status == 200


def test_one_connection_is_kept(site: Site) -> None:
    post = HttpTransport(site.url)
    for _ in range(3):
        post(b"{}")
    assert len({request.client for request in site.requests}) == 1


def test_a_redirect_is_an_answer_like_any_other(site: Site) -> None:
    site.status, site.headers = 301, {"Location": "/elsewhere"}
    assert HttpTransport(site.url)(b"{}").status == 301
    assert len(site.requests) == 1


@pytest.mark.parametrize(
    ("given", "seconds"), [("7", 7), ("0", 0), ("", 0), ("-1", 0), ("Fri, 31 Dec 1999 23:59:59 GMT", 0)]
)
def test_retry_after(site: Site, given: str, seconds: float) -> None:
    site.status, site.headers, site.text = 503, {"Retry-After": given}, b""
    assert HttpTransport(site.url)(b"{}") == Answer(503, "", seconds)


def test_an_endless_answer_is_cut(site: Site) -> None:
    site.text = b"x" * 1_000_000
    assert HttpTransport(site.url)(b"{}").text == "x" * 65536


def test_an_answer_need_not_be_text(site: Site) -> None:
    site.text = b"\xff\xfe"
    assert HttpTransport(site.url)(b"{}").text == "\N{REPLACEMENT CHARACTER}" * 2


@pytest.mark.parametrize(
    "url",
    [
        lambda site: site.url,  # nobody listens there any more
        lambda _: "http://no.such.host.invalid",
        lambda _: "http://.",
    ],
    ids=["refused", "no host", "no name"],
)
def test_what_brings_no_answer_is_an_os_error(url: Callable[[Site], str]) -> None:
    with running(Site()) as site:
        pass
    with pytest.raises(OSError, match=r".+"):
        HttpTransport(url(site), timeout=2)(b"{}")


def test_half_an_answer_is_an_os_error(site: Site) -> None:
    site.headers = {"Content-Length": "100", "Connection": "close"}
    with pytest.raises(OSError, match=r"IncompleteRead|Connection broken"):
        HttpTransport(site.url)(b"{}")
