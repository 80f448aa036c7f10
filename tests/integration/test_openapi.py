"""The OpenAPI document, held against the exporter that it describes; the event stream apart."""

from __future__ import annotations

import json
import re
import socket
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import requests
import schemathesis
import urllib3
from hypothesis import HealthCheck, given, seed, settings
from prometheus_client import CollectorRegistry
from requests.adapters import HTTPAdapter
from schemathesis.checks import positive_data_acceptance
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from exporter import SharedStats
from exporter.settings.options import HttpLimits
from exporter.store.validation import Limits
from exporter.web.access import OPEN_PATHS as OPEN
from exporter.web.documents import OPENAPI
from exporter.web.server import serve

pytestmark = pytest.mark.integration

TOKEN = "a-token-of-the-tests"
USER, PASSWORD = "prometheus", "a-password-of-the-tests"
BASIC = "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()
RIGHT = {"token": f"Bearer {TOKEN}", "password": BASIC}
GIVEN = (*RIGHT.values(), "Bearer another", "Basic " + b64encode(b"prometheus:another").decode())
SETUPS = ["a token and a password", "a token", "a password", "nothing"]
# Of each operation, beside those at the edges of its schema.
FEW, MANY = 20, 60
# What a schema cannot say of an update, and a refusal may therefore be about.
UNSAYABLE = re.compile(
    r"expected (text without lone surrogates"
    r"|a time since 1970"
    r"|a time at most 60 s from now \(this is \d+ s ahead\)"
    r"|at most 4096 bytes as JSON \(this has \d+\)"
    r"|a finite number of at least 0(?=, got \d+\.\.\.\d)), got "  # of so many digits that they are not all shown
)


@dataclass(frozen=True)
class Described:
    """An exporter, what describes it, and what the header Authorization has to say to it, by method."""

    url: str
    store: SharedStats
    schema: schemathesis.BaseSchema
    credentials: dict[str, str]


def passwords(folder: Path, rounds: int = 4) -> Path:
    """Write a web configuration with one user."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(rounds)).decode()
    file = folder / "web.yml"
    file.write_text(f"basic_auth_users: {{{USER}: {hashed}}}\n")
    return file


@pytest.fixture(scope="module", params=SETUPS)
def described(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Described]:
    # More trigger types than anybody has, because each example may bring some: that refusal is not tested here.
    store = SharedStats.create(limits=Limits(trigger_types=1_000_000))
    token = TOKEN if "token" in request.param else None
    web_config = passwords(tmp_path_factory.mktemp("described")) if "password" in request.param else None
    basic = BASIC if web_config else ""
    with serve(0, stats=store, registry=CollectorRegistry(), push_token=token, web_config=web_config) as server:
        schema = schemathesis.openapi.from_url(
            server.url + "/api/openapi.json", headers={"Authorization": basic} if basic else {}
        )
        # It would leave the credentials out and take the answer for wrong that those bring which the tests put in.
        schema.config.generation.update(with_security_parameters=False)
        yield Described(server.url, store, schema, {"get": basic, "post": f"Bearer {TOKEN}" if token else basic})


OPERATIONS = [
    (path, method, mode)
    for path, item in json.loads(OPENAPI.read_bytes())["paths"].items()
    for method, operation in item.items()
    for mode in GenerationMode
    # Nothing can be wrong with a request that holds nothing; and any text will do as a header.
    if mode is GenerationMode.POSITIVE or "requestBody" in operation or "name[]" in str(operation.get("parameters"))
]


@pytest.mark.parametrize(
    ("described", "examples"),
    [(SETUPS[0], FEW), *(pytest.param(setup, MANY, marks=pytest.mark.heavy) for setup in SETUPS)],
    indirect=["described"],
)
@pytest.mark.parametrize(("path", "method", "mode"), OPERATIONS)
def test_what_it_says_is_what_is_done(
    described: Described, examples: int, path: str, method: str, mode: GenerationMode
) -> None:
    """No 5xx, no undocumented status, type or shape; what the schema allows is taken, what it forbids refused."""
    operation = described.schema[path][method]
    credentials = {"Authorization": described.credentials[method]} if described.credentials[method] else {}
    tried: Counter[int] = Counter()

    @seed(5)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(mode))
    def each(case: schemathesis.Case[Any]) -> None:
        response = case.call(headers=credentials, timeout=20)
        tried[response.status_code] += 1
        assert response.status_code < 500
        unsayable = response.status_code == 422 and all(map(UNSAYABLE.search, response.json()["details"]))
        case.validate_response(response, excluded_checks=[positive_data_acceptance] if unsayable else [])

    each()
    assert tried[200] > 0 or mode is GenerationMode.NEGATIVE
    assert path != "/api/stats" or method != "post" or mode is not GenerationMode.NEGATIVE or tried[422] > 0


@pytest.mark.parametrize(("method", "body"), [("get", None), ("post", {"viewer_counts": {}})])
def test_what_it_says_of_credentials_is_so(described: Described, method: str, body: Any) -> None:
    """What is asked for is what lets in, and what is said to whoever lacks it is as it is described."""
    for path, item in described.schema.raw_schema["paths"].items():
        if method not in item:
            continue
        wanted = "" if path in OPEN else described.credentials[method]
        for headers in ({}, *({"Authorization": text} for text in GIVEN)):
            response = requests.request(method, described.url + path, json=body, headers=headers, timeout=20)
            let_in = not wanted or headers.get("Authorization") == wanted
            assert response.status_code == (200 if let_in else 401), (path, headers)
            is_as_described(described.schema, path, method, response)


def is_as_described(schema: schemathesis.BaseSchema, path: str, method: str, response: requests.Response) -> None:
    operation = schema[path][method]
    for check in (status_code_conformance, response_headers_conformance, response_schema_conformance):
        operation.Case().validate_response(response, checks=[check])


class TestRefusals:
    """Each refusal that comes before a route, made to happen, is as it is described."""

    @pytest.fixture
    def refusing(self, tmp_path: Path) -> Iterator[Described]:
        store = SharedStats.create()
        limits = HttpLimits(connections=3, subscribers=1, header_seconds=1)
        web_config = passwords(tmp_path, rounds=11)  # slow enough that some wait
        with serve(0, stats=store, registry=CollectorRegistry(), web_config=web_config, limits=limits) as server:
            schema = schemathesis.openapi.from_url(
                server.url + "/api/openapi.json", headers={"Authorization": BASIC, "Connection": "close"}
            )
            yield Described(server.url, store, schema, {})

    @pytest.mark.parametrize("size", [17_000, 200_000], ids=["at once", "in parts"])
    def test_large_headers(self, refusing: Described, size: int) -> None:
        for path in ("/metrics", "/-/healthy"):
            response = requests.get(refusing.url + path, headers={"X-Large": "x" * size}, timeout=20)
            assert response.status_code == 431
            is_as_described(refusing.schema, path, "get", response)

    def test_what_is_no_http_or_comes_slowly(self, refusing: Described) -> None:
        for sent, status in ((b"\0\r\n\r\n", 400), (b"GET /metrics HTTP/1.1\r\n", 408)):
            with socket.create_connection(("127.0.0.1", int(refusing.url.rpartition(":")[2])), 20) as connection:
                connection.sendall(sent)
                raw = HTTPResponse(connection)
                raw.begin()
                answer = urllib3.HTTPResponse(raw, dict(raw.headers), raw.status, preload_content=False)
                request = requests.Request("GET", f"{refusing.url}/metrics").prepare()
                response = HTTPAdapter().build_response(request, answer)
                assert response.content
            assert response.status_code == status
            is_as_described(refusing.schema, "/metrics", "get", response)

    def test_many_passwords(self, refusing: Described) -> None:
        def guess(number: int) -> requests.Response:
            return requests.get(f"{refusing.url}/api/stats", auth=(USER, str(number)), timeout=20)

        with ThreadPoolExecutor(3) as pool:
            responses = list(pool.map(guess, range(3)))
        assert {response.status_code for response in responses} == {401, 429}
        for response in responses:
            is_as_described(refusing.schema, "/api/stats", "get", response)

    def test_many_subscribers_and_connections(self, refusing: Described) -> None:
        url = refusing.url + "/api/stats"
        headers = {"Authorization": BASIC, "Accept": "text/event-stream"}
        with ExitStack() as busy:
            busy.enter_context(requests.get(url, headers=headers, stream=True, timeout=20))
            response = requests.get(url, headers=headers, timeout=20)
            assert (response.status_code, response.headers["Retry-After"]) == (503, "10")
            is_as_described(refusing.schema, "/api/stats", "get", response)
            for _ in range(2):
                connection = busy.enter_context(
                    socket.create_connection(("127.0.0.1", int(refusing.url.rpartition(":")[2])), 20)
                )
                connection.sendall(
                    b"POST /api/stats HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    b"Authorization: " + BASIC.encode() + b"\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
                )
                assert connection.recv(1000).startswith(b"HTTP/1.1 100")  # it is under way, and not idle
            for path in ("/metrics", "/api/stats", "/-/healthy"):
                response = requests.get(refusing.url + path, timeout=20)
                assert response.status_code == 503
                is_as_described(refusing.schema, path, "get", response)

    def test_pushes_from_elsewhere(self) -> None:
        with serve(0, "0.0.0.0", stats=SharedStats.create(), registry=CollectorRegistry()) as server:
            schema = schemathesis.openapi.from_url(server.url + "/api/openapi.json")
            response = requests.post(server.url + "/api/stats", json={}, timeout=20)
            assert response.status_code == 403
            is_as_described(schema, "/api/stats", "post", response)


def test_a_method_that_is_not_there_is_told_which_are(described: Described) -> None:
    headers = {"Authorization": described.credentials["get"]}
    answer = requests.delete(described.url + "/api/stats", headers=headers, timeout=20)
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST"}
