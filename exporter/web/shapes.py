"""The shapes of what is sent and received as JSON, as JSON Schema: https://json-schema.org/draft/2020-12."""

from __future__ import annotations

from typing import Any

from exporter.store.batch import FUTURE, ID_LIMITS
from exporter.store.triggers import RECENT_TRIGGERS
from exporter.store.validation import LEVELS, Limits

Data = dict[str, Any]


def ref(name: str) -> Data:
    """A reference to one of :func:`schemas`."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: str, properties: Data) -> Data:
    """An object with these properties and no others; ``required`` names some of them."""
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": required.split()} if required else {}),
    }


def _each_streamer(value: Data, what: str) -> Data:
    return {"type": "object", "propertyNames": ref("Name"), "additionalProperties": value, "description": what}


def array(items: Data, **more: Any) -> Data:
    """An array of such ``items``; ``more`` is what else is said of it."""
    return {"type": "array", "items": items, **more}


def schemas(limits: Limits) -> Data:
    """The schemas of all bodies, by name, under these limits."""
    gauges = {
        "viewer_counts": _each_streamer(ref("Number"), "Viewers now, by streamer."),
        "chat_velocities": _each_streamer(ref("Number"), "Chat messages per minute, by streamer."),
        "recording_status": _each_streamer({"type": "boolean"}, "Whether the stream is being recorded, by streamer."),
    }
    event = ref("Id") | {"description": "With the same source and id, an event is counted once."}
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
                "recent_triggers": array(
                    _object(
                        "streamer type timestamp details",
                        {
                            "streamer": ref("Name"),
                            "type": ref("Name"),
                            "timestamp": ref("Time"),
                            "details": {"type": "object"},
                        },
                    ),
                    maxItems=RECENT_TRIGGERS,
                    description="The newest, newest first.",
                ),
                "clips_today": _each_streamer({"type": "integer", "minimum": 1}, "Clips made today, by streamer."),
                "last_updated": ref("Time"),
            },
        ),
        "Update": _object(
            "",
            gauges
            | {
                "triggers": array(
                    _object(
                        "streamer type",
                        {
                            "streamer": ref("Name"),
                            "type": ref("Name"),
                            "details": details,
                            "timestamp": ref("Time")
                            | {"description": f"Since 1970, and at most {FUTURE:.0f} seconds from now; default: now."},
                            "id": event,
                        },
                    )
                ),
                "clips": array(_object("streamer", {"streamer": ref("Name"), "id": event})),
                "cleared": array(
                    ref("Name"), description="Streamers whose streams ended; they are cleared before all else."
                ),
                "source": ref("Id") | {"description": "The pusher's name for itself, under which its ids count."},
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
        "Error": _object("error details", {"error": {"type": "string"}, "details": array({"type": "string"})}),
    }
