from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from prometheus_client import CollectorRegistry

from exporter import SharedStats
from exporter.metrics import UPDATES, UPDATES_REJECTED
from exporter.store.validation import Reason
from exporter.web import body as bodies
from exporter.web.access import Access
from exporter.web.server import Server, serve
from tests.clock import FakeClock
from tests.waiting import wait_for

TOKEN = "correct-horse"
JSON = {"Content-Type": "application/json"}
REFUSED = (
    "refused: no token is set; name a file that holds one with --push.token-file or CLIPPER_EXPORTER_PUSH_TOKEN_FILE"
)

StartServer = Callable[..., Server]


@pytest.fixture
def store() -> SharedStats:
    store = SharedStats.create(clock=FakeClock())
    store.update_viewers("xQc", 1)
    return store


@pytest.fixture
def start(store: SharedStats) -> Iterator[StartServer]:
    with ExitStack() as running:
        yield lambda address="127.0.0.1", **options: running.enter_context(
            serve(0, address, stats=store, registry=CollectorRegistry(), **options)
        )


@pytest.fixture
def server(start: StartServer) -> Server:
    return start()


def post(server: Server, body: Any, **headers: str) -> requests.Response:
    return requests.post(f"{server.url}/api/stats", data=body, headers=JSON | headers, timeout=30)


def rejected(store: SharedStats) -> dict[str, int]:
    return {reason: count for reason, count in store.own_numbers()[UPDATES_REJECTED].items() if count}


def held(store: SharedStats) -> tuple[Any, ...]:
    return store.get_all_stats(), store.version


def test_a_batch_is_applied_and_answered(server: Server, store: SharedStats) -> None:
    body = {"viewer_counts": {"xQc": 5}, "clips": [{"streamer": "xQc", "id": "1"}], "source": "a"}
    response = post(server, json.dumps(body))
    assert (response.status_code, response.json()) == (
        200,
        {"applied": 2, "duplicates": 0, "instance": store.instance},
    )
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert post(server, json.dumps(body)).json() == {"applied": 1, "duplicates": 1, "instance": store.instance}
    assert store.viewer_counts == {"xQc": 5}
    assert store.own_numbers()[UPDATES] == {"local": 1, "http": 3}
    assert rejected(store) == {}


def test_instances_differ(store: SharedStats) -> None:
    assert store.instance != SharedStats.create().instance


def test_a_thousand_streamers_in_one_post(server: Server, store: SharedStats) -> None:
    names = [f"streamer {number}" for number in range(1000)]
    body = {
        "viewer_counts": dict.fromkeys(names, 100),
        "chat_velocities": dict.fromkeys(names, 1.5),
        "recording_status": dict.fromkeys(names, True),
        "triggers": [{"streamer": name, "type": "raid", "id": name} for name in names],
        "clips": [{"streamer": name} for name in names],
    }
    assert post(server, json.dumps(body)).json()["applied"] == 5000
    assert set(store.chat_velocities) == set(names)
    assert len(store.rows()) == 1001


NESTED = b'{"viewer_counts":' * 10_000


@pytest.mark.parametrize(
    ("body", "status", "details"),
    [
        (b"", 400, "body: not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b'{"clips": [', 400, "body: not JSON: Expecting value: line 1 column 12 (char 11)"),
        (b"[" * 10_000, 400, "body: JSON is nested too deeply"),
        (NESTED, 400, "body: JSON is nested too deeply"),
        (b'{"source": "\xc3\x28"}', 400, "body: not UTF-8: byte 0xc3 at 12"),
        (
            b'{"viewer_counts": {"xQc": 1, "xQc": 2}}',
            400,
            "body: not JSON: duplicate name 'xQc' in an object",
        ),
        (b'{"viewer_counts": {"xQc": 1e999}}', 400, "body: not JSON: the number 1e999 is too large"),
        (b'{"viewer_counts": {"xQc": NaN}}', 400, "body: not JSON: NaN is not a JSON number"),
        (b"[]", 422, "body: expected an object, got []"),
        (
            b'{"viewer_counts": {"xQc": 2, "shroud": -1}}',
            422,
            "viewer_counts['shroud']: expected a finite number of at least 0, got -1",
        ),
        (
            b'{"viewer_counts": {"\\ud800": 2}}',
            422,
            "viewer_counts['\\ud800']: expected text without lone surrogates, got '\\ud800'",
        ),
    ],
    ids=["empty", "half", "lists", "objects", "utf8", "twice", "1e999", "nan", "list", "negative", "surrogate"],
)
def test_a_body_that_is_no_batch(server: Server, store: SharedStats, body: bytes, status: int, details: str) -> None:
    before = held(store)
    response = post(server, body)
    assert (response.status_code, response.json()) == (status, {"error": "nothing was applied", "details": [details]})
    assert held(store) == before
    assert sum(rejected(store).values()) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": ""},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Encoding": "gzip"},
    ],
)
def test_a_body_of_another_type(server: Server, store: SharedStats, headers: dict[str, str]) -> None:
    before = held(store)
    response = post(server, "{}", **headers)
    assert (response.status_code, response.json()) == (
        415,
        {
            "error": "unsupported media type: send Content-Type: application/json without Content-Encoding",
            "details": ["POST /api/stats"],
        },
    )
    assert held(store) == before
    assert rejected(store) == {Reason.MEDIA_TYPE: 1}


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_is_json_with_and_without_a_character_set(server: Server, content_type: str) -> None:
    assert post(server, "{}", **{"Content-Type": content_type}).json()["applied"] == 0


def chunks(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b" " * 100_000


@pytest.mark.parametrize("body", [b" " * 50_000_000, chunks(500)], ids=["told", "untold"])
def test_a_body_of_50_megabytes(server: Server, store: SharedStats, body: Any) -> None:
    before = held(store)
    response = post(server, body)
    assert (response.status_code, response.json()) == (
        413,
        {"error": f"body too large (limit {4 * 1024 * 1024} bytes)", "details": ["POST /api/stats"]},
    )
    assert held(store) == before
    assert rejected(store) == {Reason.TOO_LARGE: 1}


def test_whoever_closes_after_a_body_that_is_too_large_still_reads_why(start: StartServer) -> None:
    server = start(body_bytes=1_000_000)
    head = b"POST /api/stats HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    for _ in range(20):
        with connect(server) as connection:
            connection.sendall(head + b"Content-Length: 3900000\r\n\r\n" + b" " * 3_900_000)
            answer = connection.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"body too large (limit 1000000 bytes)" in answer


def test_the_size_limit_is_a_choice(start: StartServer) -> None:
    server = start(body_bytes=10)
    assert post(server, "{}" + " " * 8).status_code == 200
    assert post(server, "{}" + " " * 9).status_code == 413


def connect(server: Server) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30)


HALF = (
    b"POST /api/stats HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    b'{"viewer_counts": {"xQc": 2}'
)


def test_a_body_that_does_not_arrive_in_time(
    server: Server, store: SharedStats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.1)
    before = held(store)
    with connect(server) as connection:
        connection.sendall(HALF)
        answer = connection.makefile("rb")
        assert answer.readline() == b"HTTP/1.1 408 Request Timeout\r\n"
        while answer.readline().strip():
            pass
        expected = {"error": "the body did not arrive within 0.1 s", "details": ["POST /api/stats"]}
        assert json.loads(answer.read(len(json.dumps(expected, separators=(",", ":"))))) == expected
    assert held(store) == before
    assert rejected(store) == {Reason.MALFORMED: 1}


def test_a_body_whose_connection_ends(server: Server, store: SharedStats) -> None:
    before = held(store)
    with connect(server) as connection:
        connection.sendall(HALF)
    wait_for(lambda: rejected(store) == {Reason.MALFORMED: 1})
    assert held(store) == before


def test_the_token_lets_in(start: StartServer, store: SharedStats) -> None:
    server = start(push_token=TOKEN)
    assert server.who_may_push == "with the token"
    for scheme in ("Bearer", "bearer", "BEARER "):
        assert post(server, "{}", Authorization=f"{scheme} {TOKEN}").status_code == 200
    assert rejected(store) == {}


@pytest.mark.parametrize(
    "authorization",
    ["", TOKEN, "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", "Bearer \u00e9"],
)
def test_who_has_not_the_token_is_kept_out(start: StartServer, store: SharedStats, authorization: str) -> None:
    before = held(store)
    server = start(push_token=TOKEN)
    headers: dict[str, Any] = {"Authorization": authorization.encode("latin-1")} if authorization else {}
    response = post(server, '{"viewer_counts": {"xQc": 2}}', **headers)
    assert (response.status_code, response.json()) == (
        401,
        {
            "error": "missing or wrong push token: send the header Authorization: Bearer <token>",
            "details": ["POST /api/stats"],
        },
    )
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert TOKEN not in response.text
    assert held(store) == before
    assert rejected(store) == {Reason.UNAUTHORIZED: 1}


def test_without_a_token_others_may_not_push(start: StartServer, store: SharedStats) -> None:
    server = start("0.0.0.0")
    assert server.who_may_push == REFUSED
    response = post(server, "{}")
    assert (response.status_code, response.json()["error"]) == (
        403,
        "other machines can connect, so pushing needs a token: see --push.token-file",
    )
    assert rejected(store) == {Reason.UNAUTHORIZED: 1}


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:9309", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:9309", "127.0.0.2", "127.1.2.3:9309"],
)
def test_this_machine_may_push_without_a_token(server: Server, host: str) -> None:
    assert server.who_may_push == "from this machine only: no token is set"
    assert post(server, "{}", Host=host).status_code == 200


NEARLY_LOOPBACK = ["128.0.0.1", "127.1", "[127.0.0.1]", "127.0.0.1.evil.example", "[localhost]"]


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:9309", "evil.example:127", "[::2]", "::1", *NEARLY_LOOPBACK]
)
def test_a_name_that_leads_here_is_not_this_machine(server: Server, store: SharedStats, host: str) -> None:
    before = held(store)
    response = post(server, '{"viewer_counts": {"xQc": 2}}', Host=host)
    assert (response.status_code, response.json()["error"]) == (
        403,
        "pushing without a token needs localhost or a loopback address in the Host header",
    )
    assert held(store) == before


@pytest.mark.parametrize("address", ["127.0.0.2", "::1"])
def test_every_loopback_address_can_be_pushed_to(start: StartServer, address: str) -> None:
    try:
        socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET).close()
    except OSError:
        pytest.skip(f"this machine has no {address}")
    assert post(start(address), "{}").status_code == 200


@pytest.mark.parametrize("token", ["", " ", "two words", "line\n", "tab\t", "\u00e9"])
def test_a_token_that_is_not_one_word_is_an_error(start: StartServer, token: str) -> None:
    """An empty one would let in everybody who sends the header without a token."""
    # The whole message, which leaves the token out.
    message = r"^push_token: the token is not one word of printable ASCII characters$"
    with pytest.raises(ValueError, match=message):
        start("0.0.0.0", push_token=token)
    with pytest.raises(ValueError, match=message):
        Access(token)


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (Access("secret", local=True), "with the token"),
        (Access(None, local=True), "from this machine only: no token is set"),
        (Access(None, local=False), REFUSED),
    ],
)
def test_a_policy_says_who_may(policy: Access, text: str) -> None:
    assert str(policy) == text
