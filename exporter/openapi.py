"""The description of the HTTP interface, as OpenAPI 3.1: https://spec.openapis.org/oas/v3.1.1.html."""

from __future__ import annotations

from typing import Any, Final

from exporter import __version__
from exporter.batch import FUTURE, ID_LIMITS
from exporter.history import RECENT_TRIGGERS
from exporter.validation import LEVELS, Limits

_Data = dict[str, Any]


def _ref(name: str) -> _Data:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: str, properties: _Data) -> _Data:
    """An object with these properties and no others; ``required`` names some of them."""
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": required.split()} if required else {}),
    }


def _each_streamer(value: _Data, what: str) -> _Data:
    return {"type": "object", "propertyNames": _ref("Name"), "additionalProperties": value, "description": what}


def _list(items: _Data, **more: Any) -> _Data:
    return {"type": "array", "items": items, **more}


def _schemas(limits: Limits) -> _Data:
    gauges = {
        "viewer_counts": _each_streamer(_ref("Number"), "Viewers now, by streamer."),
        "chat_velocities": _each_streamer(_ref("Number"), "Chat messages per minute, by streamer."),
        "recording_status": _each_streamer({"type": "boolean"}, "Whether the stream is being recorded, by streamer."),
    }
    event = _ref("Id") | {"description": "With the same source and id, an event is counted once."}
    details = {
        "type": "object",
        "description": (
            f"Whatever describes the trigger, of at most {limits.details_bytes} bytes and {LEVELS} levels as JSON."
        ),
    }
    return {
        "Name": {
            "type": "string",
            "minLength": 1,
            "maxLength": limits.name_length,
            "description": "Text that UTF-8 can carry: no lone surrogates.",
        },
        "Id": {
            "type": "string",
            "minLength": 1,
            "maxLength": ID_LIMITS.name_length,
            "description": "Text that UTF-8 can carry: no lone surrogates.",
        },
        "Number": {"type": "number", "minimum": 0, "description": "Finite as a 64-bit float."},
        "Time": {"type": "string", "format": "date-time"},
        "Stats": _object(
            "viewer_counts chat_velocities recording_status recent_triggers clips_today last_updated",
            gauges
            | {
                "recent_triggers": _list(
                    _object(
                        "streamer type timestamp details",
                        {
                            "streamer": _ref("Name"),
                            "type": _ref("Name"),
                            "timestamp": _ref("Time"),
                            "details": {"type": "object"},
                        },
                    ),
                    maxItems=RECENT_TRIGGERS,
                    description="The newest, newest first.",
                ),
                "clips_today": _each_streamer({"type": "integer", "minimum": 1}, "Clips made today, by streamer."),
                "last_updated": _ref("Time"),
            },
        ),
        "Update": _object(
            "",
            gauges
            | {
                "triggers": _list(
                    _object(
                        "streamer type",
                        {
                            "streamer": _ref("Name"),
                            "type": _ref("Name"),
                            "details": details,
                            "timestamp": _ref("Time")
                            | {"description": f"Since 1970, and at most {FUTURE:.0f} seconds from now; default: now."},
                            "id": event,
                        },
                    )
                ),
                "clips": _list(_object("streamer", {"streamer": _ref("Name"), "id": event})),
                "cleared": _list(
                    _ref("Name"), description="Streamers whose streams ended; they are cleared before all else."
                ),
                "source": _ref("Id") | {"description": "The pusher's name for itself, under which its ids count."},
            },
        ),
        "Applied": _object(
            "applied duplicates instance",
            {
                "applied": {"type": "integer", "minimum": 0, "description": "Updates applied."},
                "duplicates": {"type": "integer", "minimum": 0, "description": "Events whose ids were known."},
                "instance": {
                    "type": "string",
                    "description": "Another one than before: the store began empty, so send all gauges again.",
                },
            },
        ),
        "Error": _object("error details", {"error": {"type": "string"}, "details": _list({"type": "string"})}),
    }


def _answer(description: str, **content: _Data) -> _Data:
    return {
        "description": description,
        "content": {kind.replace("__", "/"): {"schema": content[kind]} for kind in content},
    }


_TEXT: Final[_Data] = {"type": "string"}


def _refusal(description: str) -> _Data:
    return _answer(description, application__json=_ref("Error"))


def _get(summary: str, answer: _Data, parameters: list[_Data] | None = None) -> _Data:
    return {"get": {"summary": summary, "parameters": parameters or [], "responses": {"200": answer}}}


def document(limits: Limits, *, telemetry_path: str, body_bytes: int, needs_token: bool) -> _Data:
    """Describe an exporter with these limits, that is scraped there, and takes pushes of so many bytes.

    ``needs_token`` says whether pushing needs one.
    """
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
        "paths": {
            telemetry_path: _scrape(),
            "/api/stats": _stats() | _push(body_bytes, needs_token=needs_token),
            "/api/openapi.json": _get("This document", _answer("OpenAPI 3.1.", application__json={"type": "object"})),
            "/": _get("The live page", _answer("A page for people.", text__html=_TEXT)),
            "/-/healthy": _get("Whether the exporter runs", _answer("It does.", text__plain=_TEXT)),
            "/-/ready": _get("Whether the exporter answers scrapes", _answer("It does.", text__plain=_TEXT)),
        },
        "components": {
            "schemas": _schemas(limits),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}} if needs_token else {},
        },
    }


def _scrape() -> _Data:
    names = {
        "name": "name[]",
        "in": "query",
        "description": "Only the samples of these names.",
        "schema": _list({"type": "string"}),
    }
    kinds = {"text/plain": {"schema": _TEXT}, "application/openmetrics-text": {"schema": _TEXT}}
    return _get("Scrape", {"description": "All samples, in the format that Accept prefers.", "content": kinds}, [names])


def _stats() -> _Data:
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
    content = {"application/json": {"schema": _ref("Stats")}, "text/event-stream": {"schema": _TEXT}}
    return _get("Everything, once or live", {"description": description, "content": content}, [last])


def _push(body_bytes: int, *, needs_token: bool) -> _Data:
    return {
        "post": {
            "summary": "Push updates, which are applied whole or not at all",
            "requestBody": {"required": True, "content": {"application/json": {"schema": _ref("Update")}}},
            "security": [{"token": []}] if needs_token else [],
            "responses": {
                "200": _answer("Applied.", application__json=_ref("Applied")),
                "400": _refusal("The body is not JSON."),
                **({"401": _refusal("The token is missing, or another.")} if needs_token else {}),
                **(
                    {} if needs_token else {"403": _refusal("Pushing from elsewhere needs a token, and there is none.")}
                ),
                "408": _refusal("The body did not arrive in time."),
                "413": _refusal(f"The body is larger than {body_bytes} bytes."),
                "415": _refusal("The body is not application/json, or compressed."),
                "422": _refusal("The body is JSON, and no update; each detail is a mistake with its path."),
                "503": _refusal("It is applied, but not yet on disk: send it again, the events with the same ids."),
            },
        }
    }
