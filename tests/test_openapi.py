from __future__ import annotations

import json

import pytest
from openapi_spec_validator import validate

from exporter import __version__
from exporter.openapi import document
from exporter.validation import Limits


@pytest.mark.parametrize("needs_token", [True, False])
def test_the_document_is_valid_openapi(*, needs_token: bool) -> None:
    validate(document(Limits(), telemetry_path="/metrics", body_bytes=1000, needs_token=needs_token))


def test_it_tells_the_limits_in_force() -> None:
    limits = Limits(name_length=7, details_bytes=77)
    described = document(limits, telemetry_path="/clipper", body_bytes=777, needs_token=False)
    assert described["info"]["version"] == __version__
    assert described["components"]["schemas"]["Name"]["maxLength"] == 7
    assert "at most 77 bytes" in json.dumps(described["components"]["schemas"]["Update"])
    responses = described["paths"]["/api/stats"]["post"]["responses"]
    assert "777 bytes" in responses["413"]["description"]
    assert "401" not in responses
    assert "/clipper" in described["paths"]
    assert "/metrics" not in described["paths"]
