from __future__ import annotations

import json
from typing import Any

import pytest
from openapi_spec_validator import validate

from exporter import __version__
from exporter.settings.options import HttpLimits
from exporter.store.validation import Limits
from exporter.web.openapi import document


@pytest.fixture(params=[True, False], ids=["token", "no token"])
def needs_token(request: pytest.FixtureRequest) -> bool:
    given: bool = request.param
    return given


@pytest.fixture(params=[True, False], ids=["passwords", "no passwords"])
def needs_password(request: pytest.FixtureRequest) -> bool:
    given: bool = request.param
    return given


@pytest.fixture
def described(*, needs_token: bool, needs_password: bool) -> dict[str, Any]:
    return document(
        Limits(), telemetry_path="/metrics", body_bytes=1000, needs_token=needs_token, needs_password=needs_password
    )


def test_the_document_is_valid_openapi(described: dict[str, Any]) -> None:
    validate(described)


def test_it_tells_who_may_come_in(described: dict[str, Any], *, needs_token: bool, needs_password: bool) -> None:
    password: list[dict[str, list[str]]] = [{"password": []}] if needs_password else []
    wanted = {(path, "get"): password for path in ("/metrics", "/api/stats", "/api/openapi.json", "/")}
    wanted |= {("/-/healthy", "get"): [], ("/-/ready", "get"): []}
    wanted["/api/stats", "post"] = [{"token": []}] if needs_token else password
    operations = {
        (path, method): operation for path, item in described["paths"].items() for method, operation in item.items()
    }
    assert {key: operation["security"] for key, operation in operations.items()} == wanted
    for key, operation in operations.items():
        assert {"400", "408", "431", "503"} < operation["responses"].keys()
        assert ("401" in operation["responses"]) is bool(wanted[key])
        assert ("429" in operation["responses"]) is (needs_password and not key[0].startswith("/-/"))
    assert ("403" in operations["/api/stats", "post"]["responses"]) is not (needs_token or needs_password)


def test_it_tells_the_limits_in_force() -> None:
    limits = Limits(name_length=7, details_bytes=77)
    http = HttpLimits(connections=17, subscribers=16, header_bytes=999)
    described = document(limits, telemetry_path="/clipper", body_bytes=777, needs_token=False, http=http)
    assert described["info"]["version"] == __version__
    assert described["components"]["schemas"]["Name"]["maxLength"] == 7
    assert "at most 77 bytes" in json.dumps(described["components"]["schemas"]["Update"])
    responses = described["paths"]["/api/stats"]["post"]["responses"]
    assert "777 bytes" in responses["413"]["description"]
    assert "401" not in responses
    assert "17 connections" in responses["503"]["description"]
    assert "999 bytes" in described["components"]["responses"]["431"]["description"]
    assert "/clipper" in described["paths"]
    assert "/metrics" not in described["paths"]
