"""The OpenAPI document, held against the exporter that it describes; the event stream apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from prometheus_client import CollectorRegistry
from schemathesis.checks import positive_data_acceptance
from schemathesis.generation import GenerationMode

from exporter import SharedStats
from exporter.openapi import document
from exporter.server import serve
from exporter.validation import Limits

pytestmark = pytest.mark.integration

TOKEN = "a-token-of-the-tests"
EXAMPLES = 60  # of each operation, beside those at the edges of its schema
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
    """An exporter, and what describes it."""

    url: str
    store: SharedStats
    schema: schemathesis.BaseSchema


@pytest.fixture(scope="module", params=["with a token", "without"])
def described(request: pytest.FixtureRequest) -> Iterator[Described]:
    # More trigger types than anybody has, because each example may bring some: that refusal is not tested here.
    store = SharedStats.create(limits=Limits(trigger_types=1_000_000))
    token = TOKEN if request.param == "with a token" else None
    with serve(0, stats=store, registry=CollectorRegistry(), push_token=token) as server:
        yield Described(server.url, store, schemathesis.openapi.from_url(server.url + "/api/openapi.json"))


OPERATIONS = [
    (path, method, mode)
    for path, item in document(Limits(), telemetry_path="/metrics", body_bytes=1, needs_token=True)["paths"].items()
    for method, operation in item.items()
    for mode in GenerationMode
    # Nothing can be wrong with a request that holds nothing; and any text will do as a header.
    if mode is GenerationMode.POSITIVE or "requestBody" in operation or "name[]" in str(operation["parameters"])
]


@pytest.mark.parametrize(("path", "method", "mode"), OPERATIONS)
def test_what_it_says_is_what_is_done(described: Described, path: str, method: str, mode: GenerationMode) -> None:
    """No 5xx, no undocumented status, type or shape; what the schema allows is taken, what it forbids refused."""
    operation = described.schema[path][method]
    tried: Counter[int] = Counter()

    @seed(5)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(mode))
    def each(case: schemathesis.Case[Any]) -> None:
        response = case.call(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20)
        tried[response.status_code] += 1
        assert response.status_code < 500
        unsayable = response.status_code == 422 and all(map(UNSAYABLE.search, response.json()["details"]))
        case.validate_response(response, excluded_checks=[positive_data_acceptance] if unsayable else [])

    each()
    assert tried[200] > 0 or mode is GenerationMode.NEGATIVE
    assert path != "/api/stats" or method != "post" or mode is not GenerationMode.NEGATIVE or tried[422] > 0


def test_what_it_says_of_a_token_is_so(described: Described) -> None:
    push = described.schema.raw_schema["paths"]["/api/stats"]["post"]
    statuses = [
        requests.post(described.url + "/api/stats", json={"clips": []}, headers=headers, timeout=20).status_code
        for headers in ({}, {"Authorization": "Bearer another"}, {"Authorization": f"Bearer {TOKEN}"})
    ]
    needs_token = push["security"] == [{"token": []}]
    assert statuses == ([401, 401, 200] if needs_token else [200, 200, 200])


def test_a_method_that_is_not_there_is_told_which_are(described: Described) -> None:
    answer = requests.delete(described.url + "/api/stats", timeout=20)
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST"}
