"""The OpenAPI document is static: what it says is held to the code here, and to a running exporter in integration/."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import requests
from openapi_spec_validator import validate
from prometheus_client import CollectorRegistry
from starlette.routing import Route

from exporter import SharedStats, __version__
from exporter.errors import InvalidBatch
from exporter.live.hub import HEARTBEAT, Hub
from exporter.settings.options import HttpLimits, ServeOptions
from exporter.store.batch import FUTURE, ID_LIMITS
from exporter.store.triggers import RECENT_TRIGGERS
from exporter.store.validation import LEVELS, Limits
from exporter.web.access import OPEN_PATHS as OPEN
from exporter.web.app import create_app
from exporter.web.documents import OPENAPI, STATIC
from exporter.web.server import serve
from tests.batches import apply
from tests.clock import FakeClock

DOCUMENT: dict[str, Any] = json.loads(OPENAPI.read_bytes())
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
OPERATIONS = {
    (path, method): operation for path, item in DOCUMENT["paths"].items() for method, operation in item.items()
}
PUSH = OPERATIONS["/api/stats", "post"]
BEFORE_A_ROUTE = {"408", "429", "431", "503"}  # tests/integration/test_openapi.py makes them happen


@pytest.fixture
def store() -> SharedStats:
    return SharedStats.create(clock=FakeClock())


def example(content: dict[str, Any]) -> Any:
    return content["content"]["application/json"]["example"]


def test_it_is_valid_openapi() -> None:
    validate(DOCUMENT)


def test_it_has_every_route_and_method_and_none_more(store: SharedStats) -> None:
    app = create_app(ServeOptions(), store, CollectorRegistry(), Hub(store))
    files = {f"/{path.name}" for path in STATIC.iterdir()}
    routes = {
        (route.path, method.lower())
        for route in app.routes
        if isinstance(route, Route) and route.path not in files
        for method in route.methods or ()
    }
    gets = {path for path, method in routes if method == "get"}
    assert routes == OPERATIONS.keys() | {(path, "head") for path in gets}  # HEAD is implied: RFC 9110, section 9.3.2


def test_it_tells_who_may_come_in() -> None:
    for (path, method), operation in OPERATIONS.items():
        assert operation["security"] == (
            [] if path in OPEN else [{}, *([{"token": []}] if method == "post" else []), {"password": []}]
        )
        assert operation["responses"].keys() >= {"200", "400", "408", "431", "503"}
        assert (operation["responses"].keys() >= {"401", "429"}) is (path not in OPEN)


def mistakes(store: SharedStats, body: object) -> list[str]:
    with pytest.raises(InvalidBatch) as refusal:
        apply(store, body)
    return list(refusal.value.mistakes)


@pytest.mark.parametrize(
    ("schema", "body", "path"),
    [
        ("Update", {"another": 1}, ""),
        ("Trigger", {"triggers": [{"streamer": "xQc", "type": "keyword", "another": 1}]}, "triggers[0]."),
        ("Clip", {"clips": [{"streamer": "xQc", "another": 1}]}, "clips[0]."),
    ],
)
def test_the_keys_are_those_that_are_read(store: SharedStats, schema: str, body: object, path: str) -> None:
    (mistake,) = mistakes(store, body)
    found = re.fullmatch(re.escape(path) + r"'another': expected one of (.+) as the name, got 1", mistake)
    assert found
    assert set(found[1].split(", ")) == SCHEMAS[schema]["properties"].keys()
    assert SCHEMAS[schema]["additionalProperties"] is False


@pytest.mark.parametrize(("schema", "key"), [("Trigger", "triggers"), ("Clip", "clips")])
def test_the_required_keys_are_those_that_must_be_there(store: SharedStats, schema: str, key: str) -> None:
    missing = [re.sub(rf"^{key}\[0\]\.(\w+): required$", r"\1", m) for m in mistakes(store, {key: [{}]})]
    assert missing == SCHEMAS[schema]["required"]


def test_an_update_may_be_empty(store: SharedStats) -> None:
    assert apply(store, {}) == (0, 0)
    assert "required" not in SCHEMAS["Update"]


def test_the_example_of_a_push_has_every_key_and_is_answered_as_its_example(store: SharedStats) -> None:
    update, applied = example(PUSH["requestBody"]), example(PUSH["responses"]["200"])
    assert update.keys() == SCHEMAS["Update"]["properties"].keys()
    assert update["triggers"][0].keys() == SCHEMAS["Trigger"]["properties"].keys()
    assert update["clips"][0].keys() == SCHEMAS["Clip"]["properties"].keys()
    assert apply(store, update) == (applied["applied"], applied["duplicates"])
    assert applied.keys() == SCHEMAS["Applied"]["properties"].keys() == set(SCHEMAS["Applied"]["required"])
    assert len(applied["instance"]) == len(store.instance)


def test_the_example_of_the_stats_is_what_that_push_leads_to(store: SharedStats) -> None:
    apply(store, example(PUSH["requestBody"]))
    stats = json.loads(json.dumps(store.get_all_stats()))
    assert stats == example(OPERATIONS["/api/stats", "get"]["responses"]["200"])
    assert stats.keys() == SCHEMAS["Stats"]["properties"].keys() == set(SCHEMAS["Stats"]["required"])
    (trigger,) = stats["recent_triggers"]
    assert trigger.keys() == SCHEMAS["RecentTrigger"]["properties"].keys() == set(SCHEMAS["RecentTrigger"]["required"])


def test_the_numbers_in_it_are_the_defaults() -> None:
    limits, http = Limits(), HttpLimits()
    refusals = {status: answer["description"] for status, answer in DOCUMENT["components"]["responses"].items()}
    pushes = {status: answer.get("description", "") for status, answer in PUSH["responses"].items()}
    stats = {
        status: answer.get("description", "") for status, answer in OPERATIONS["/api/stats", "get"]["responses"].items()
    }
    trigger = SCHEMAS["Trigger"]["properties"]
    assert DOCUMENT["info"]["version"] == __version__
    assert SCHEMAS["Name"]["maxLength"] == limits.name_length
    assert SCHEMAS["Id"]["maxLength"] == ID_LIMITS.name_length
    assert SCHEMAS["Stats"]["properties"]["recent_triggers"]["maxItems"] == RECENT_TRIGGERS
    assert f"at most {limits.details_bytes} bytes and {LEVELS} levels" in trigger["details"]["description"]
    assert f"at most {FUTURE:g} seconds in the future" in trigger["timestamp"]["description"]
    assert f"larger than {ServeOptions().body_bytes} bytes" in pushes["413"]
    assert f"every {HEARTBEAT:g} seconds" in stats["200"]
    assert f"larger than {http.header_bytes} bytes" in refusals["431"]
    for refused in (refusals, pushes):
        assert f"within {http.header_seconds:g} seconds" in refused["408"]
    for refused in (refusals, pushes, stats):
        assert f"{http.connections} connections" in refused["503"]
    assert f"{http.subscribers} live subscribers" in stats["503"]


def test_every_status_of_a_push_occurs() -> None:
    seen = set[int]()

    def push(url: str, body: bytes = b"{}", media_type: str = "application/json", **more: str) -> None:
        headers = {"Content-Type": media_type, **more}
        seen.add(requests.post(f"{url}/api/stats", data=body, headers=headers, timeout=20).status_code)

    with serve(0, stats=SharedStats.create(), registry=CollectorRegistry(), body_bytes=10) as server:
        push(server.url)
        push(server.url, b"{")
        push(server.url, b"[]")
        push(server.url, b"{         }")
        push(server.url, media_type="text/plain")
        push(server.url, Host="another.example")
    with serve(0, stats=SharedStats.create(), registry=CollectorRegistry(), push_token="token") as server:
        push(server.url)
    assert {str(status) for status in seen} | BEFORE_A_ROUTE == PUSH["responses"].keys()


def test_it_is_served_as_it_is_and_304_to_who_has_it() -> None:
    with serve(0, stats=SharedStats.create(), registry=CollectorRegistry()) as server:
        for path in ("/", "/api/openapi.json"):
            first = requests.get(server.url + path, timeout=20)
            again = requests.get(server.url + path, headers={"If-None-Match": first.headers["ETag"]}, timeout=20)
            assert OPERATIONS[path, "get"]["responses"].keys() >= {"200", str(again.status_code)} == {"200", "304"}
    assert first.content == OPENAPI.read_bytes()
    assert first.headers["Content-Type"] == "application/json"
