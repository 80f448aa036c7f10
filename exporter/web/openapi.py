"""The description of the HTTP interface, as OpenAPI 3.1: https://spec.openapis.org/oas/v3.1.1.html."""

from __future__ import annotations

from typing import Final

from exporter._version import __version__
from exporter.settings.options import HttpLimits
from exporter.store.validation import Limits
from exporter.web.access import STATS_PATH
from exporter.web.shapes import Data, array, ref, schemas

_ALWAYS: Final = ("400", "408", "431", "503")  # what may be said to any request, before it reaches a route
_WITH_PASSWORD: Final = ("401", "429")


def _answer(description: str, headers: Data | None = None, **content: Data) -> Data:
    return {
        "description": description,
        **({"headers": headers} if headers else {}),
        "content": {kind.replace("__", "/"): {"schema": content[kind]} for kind in content},
    }


_TEXT: Final[Data] = {"type": "string"}


def _challenge(description: str, *schemes: str) -> Data:
    pattern = f"^({'|'.join(schemes)})( |$)"
    schema = {"type": "string", "pattern": pattern}
    return {"WWW-Authenticate": {"description": description, "required": True, "schema": schema}}


def _retry_after(description: str, *, required: bool = False) -> Data:
    schema = {"type": "integer", "minimum": 1}
    return {"Retry-After": {"description": description, "required": required, "schema": schema}}


def _refusal(description: str, headers: Data | None = None) -> Data:
    return _answer(description, headers, application__json=ref("Error"))


def _refusals(limits: HttpLimits) -> Data:
    """What is said before a request reaches a route, by its status."""
    return {
        "400": _refusal("It is not HTTP."),
        "401": _refusal(
            "The name and the password of a user are missing, or do not belong together.",
            _challenge("The scheme that is expected.", "Basic"),
        ),
        "408": _refusal(f"Its line and headers did not arrive within {limits.header_seconds:g} seconds."),
        "429": _refusal(
            "Too many passwords wait to be checked.",
            _retry_after("Seconds until it may be tried again.", required=True),
        ),
        "431": _refusal(f"Its line and headers are larger than {limits.header_bytes} bytes."),
        "503": _refusal(f"There are {limits.connections} connections with requests under way."),
    }


def _get(summary: str, answer: Data, parameters: list[Data] | None = None) -> Data:
    return {"get": {"summary": summary, "parameters": parameters or [], "responses": {"200": answer}}}


def _complete(paths: Data, security: list[Data], statuses: tuple[str, ...]) -> None:
    """Add to each operation who may come in and what may be said before, where it does not say itself."""
    for item in paths.values():
        for operation in item.values():
            operation.setdefault("security", security)
            for status in statuses:
                operation["responses"].setdefault(status, {"$ref": f"#/components/responses/{status}"})


def document(
    limits: Limits,
    *,
    telemetry_path: str,
    body_bytes: int,
    needs_token: bool,
    needs_password: bool = False,
    http: HttpLimits | None = None,
) -> Data:
    """Describe an exporter with these limits, that is scraped there, and takes pushes of so many bytes.

    ``needs_token`` says whether pushing needs one, ``needs_password`` whether all else but the health routes does, and
    pushing as well if there is no token. ``http`` are the limits of the web server.
    """
    http = http or HttpLimits()
    password: list[Data] = [{"password": []}] if needs_password else []
    closed = {
        telemetry_path: _scrape(),
        STATS_PATH: _stats(http) | _push(body_bytes, http, needs_token=needs_token, needs_password=needs_password),
        "/api/openapi.json": _get("This document", _answer("OpenAPI 3.1.", application__json={"type": "object"})),
        "/": _get("The live page", _answer("A page for people.", text__html=_TEXT)),
    }
    health = {
        "/-/healthy": _get("Whether the exporter runs", _answer("It does.", text__plain=_TEXT)),
        "/-/ready": _get("Whether the exporter answers scrapes", _answer("It does.", text__plain=_TEXT)),
    }
    _complete(closed, password, _ALWAYS + (_WITH_PASSWORD if needs_password else ()))
    _complete(health, [], _ALWAYS)
    schemes = [*([("token", "bearer")] if needs_token else []), *([("password", "basic")] if needs_password else [])]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "clipper-exporter",
            "version": __version__,
            "description": "Numbers of live-stream clippers: for Prometheus, for people, and from other processes."
            " Clients of Socket.IO find `stats_update` at `/socket.io/`, which this document cannot describe.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": closed | health,
        "components": {
            "schemas": schemas(limits),
            "responses": {
                status: answer
                for status, answer in _refusals(http).items()
                if needs_password or status not in _WITH_PASSWORD
            },
            "securitySchemes": {name: {"type": "http", "scheme": scheme} for name, scheme in schemes},
        },
    }


def _scrape() -> Data:
    names = {
        "name": "name[]",
        "in": "query",
        "description": "Only the samples of these names.",
        "schema": array({"type": "string"}),
    }
    kinds = {"text/plain": {"schema": _TEXT}, "application/openmetrics-text": {"schema": _TEXT}}
    return _get("Scrape", {"description": "All samples, in the format that Accept prefers.", "content": kinds}, [names])


def _stats(http: HttpLimits) -> Data:
    description = (
        "JSON, or if `Accept` asks for it a stream of events: a `snapshot`, whose data are `Stats`, then `update`"
        " events, whose data are an `Update` that holds what changed. A comment comes at least every 15 seconds."
    )
    last = {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The id of the last event that a client of the stream has seen: it goes on from there.",
        "schema": _TEXT,
    }
    content = {"application/json": {"schema": ref("Stats")}, "text/event-stream": {"schema": _TEXT}}
    item = _get("Everything, once or live", {"description": description, "content": content}, [last])
    item["get"]["responses"]["503"] = _refusal(
        f"There are {http.connections} connections with requests under way, or, of a stream of events,"
        f" {http.subscribers} live subscribers.",
        _retry_after("Seconds until a stream may be tried again."),
    )
    return item


def _push(body_bytes: int, http: HttpLimits, *, needs_token: bool, needs_password: bool) -> Data:
    responses = {
        "200": _answer("Applied.", application__json=ref("Applied")),
        "400": _refusal("It is not HTTP, or the body is not JSON."),
        "408": _refusal(
            f"Its line and headers did not arrive within {http.header_seconds:g} seconds, or the body not in time."
        ),
        "413": _refusal(f"The body is larger than {body_bytes} bytes."),
        "415": _refusal("The body is not application/json, or compressed."),
        "422": _refusal("The body is JSON, and no update; each detail is a mistake with its path."),
        "503": _refusal(
            "It is applied, but not yet on disk: send it again, the events with the same ids. Or there are"
            f" {http.connections} connections with requests under way, and it is not applied.",
            _retry_after("Seconds until it may be sent again, if it is applied."),
        ),
    }
    if needs_token:
        # Who gives no token is asked for a password, where there are some, and who gives one is then asked for a token.
        schemes = ("Basic", "Bearer") if needs_password else ("Bearer",)
        responses["401"] = _refusal(
            "The token is missing, or another.", _challenge("The scheme that is expected.", *schemes)
        )
    elif not needs_password:
        responses["403"] = _refusal("Pushing from elsewhere needs a token, and there is none.")
    return {
        "post": {
            "summary": "Push updates, which are applied whole or not at all",
            "requestBody": {"required": True, "content": {"application/json": {"schema": ref("Update")}}},
            **({"security": [{"token": []}]} if needs_token else {}),
            "responses": responses,
        }
    }
