from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from exporter.errors import SettingsError
from exporter.metrics import STREAMERS_LIMIT
from exporter.settings.parsers import Address
from exporter.settings.settings import Settings, options, unknown_variables
from exporter.store.shared import SharedStats


def mistakes(flags: dict[str, str] | None = None, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as refusal:
        Settings.read(flags or {}, environ or {})
    return refusal.value.mistakes


def test_the_defaults() -> None:
    settings = Settings.read({}, {})
    assert settings == Settings()
    assert settings.listen_address == Address("127.0.0.1", 9309)
    assert settings.telemetry_path == "/metrics"
    assert settings.stale_after == 300
    assert settings.time_zone is None
    assert settings.trigger_types == ("viewer_spike", "chat_velocity", "keyword", "emote_flood")
    assert SharedStats.create(**settings.store_options).own_numbers()[STREAMERS_LIMIT] == 200_000


def test_flags_win_over_the_environment_and_the_environment_over_defaults() -> None:
    environ = {"CLIPPER_EXPORTER_LOG_LEVEL": "debug", "CLIPPER_EXPORTER_LOG_FORMAT": "json"}
    settings = Settings.read({"--log.level": "error"}, environ)
    assert (settings.log_level, settings.log_format) == ("error", "json")


@pytest.mark.parametrize(
    ("flag", "text", "field", "value"),
    [
        ("--web.listen-address", ":9309", "listen_address", Address("", 9309)),
        ("--web.listen-address", "[::1]:0", "listen_address", Address("::1", 0)),
        ("--web.listen-address", "exporter.lan:80", "listen_address", Address("exporter.lan", 80)),
        ("--web.telemetry-path", "/clipper/metrics", "telemetry_path", "/clipper/metrics"),
        ("--stats.stale-after", "1h30m", "stale_after", 5400),
        ("--stats.stale-after", "500ms", "stale_after", 0.5),
        ("--stats.stale-after", "0", "stale_after", 0),
        ("--stats.trigger-types", "raid, hype", "trigger_types", ("raid", "hype")),
        ("--stats.trigger-types", "", "trigger_types", ()),
        ("--stats.time-zone", "Europe/Berlin", "time_zone", ZoneInfo("Europe/Berlin")),
        ("--limit.streamers", "100000", "max_streamers", 100_000),
        ("--web.cors-origin", "*", "cors_origins", ("*",)),
        ("--web.cors-origin", "", "cors_origins", ()),
        ("--web.cors-origin", "https://a.example, http://b:80", "cors_origins", ("https://a.example", "http://b:80")),
        ("--limit.header-time", "1500ms", "header_seconds", 1.5),
        ("--demo.seed", "-3", "demo_seed", -3),
        ("--demo.speed", "2.5", "demo_speed", 2.5),
    ],
)
def test_values(flag: str, text: str, field: str, value: Any) -> None:
    assert getattr(Settings.read({flag: text}, {}), field) == value


ADDRESS = "host:port, such as 127.0.0.1:9309, [::1]:9309 or :9309 for every address"
PATH = "a path such as /metrics, and not under /-, /api or /socket.io, which are taken"


@pytest.mark.parametrize(
    ("flag", "text", "expected"),
    [
        *(
            ("--web.listen-address", text, ADDRESS)
            for text in ("9309", "localhost:", "localhost:x", "::1:9309", "h:65536", "h:-1")
        ),
        *(
            ("--web.telemetry-path", text, PATH)
            for text in ("metrics", "/", "/a b", "/api/stats", "/-/ready", "/x?y", "")
        ),
        *(
            ("--stats.stale-after", text, "a duration such as 90s, 5m or 1h30m, or 0")
            for text in ("", "5", "5 m", "-5m", "1m1h", "soon", "٣m", "9999999999y")
        ),
        *(
            ("--stats.trigger-types", text, "names separated by commas, none empty, none twice, in UTF-8")
            for text in ("a,,b", "a,a", ",", "a\udcff")
        ),
        *(
            ("--stats.time-zone", text, "local, or a name of the IANA time zone database such as Europe/Berlin")
            for text in ("Mars/Olympus", "", "../etc/passwd", "a\0b", "Europe")
        ),
        *(("--limit.streamers", text, "a whole number of at least 1") for text in ("0", "-1", "1.5", "many", "", "٣")),
        *(
            (
                "--web.cors-origin",
                text,
                "origins such as https://grafana.example:3000, separated by commas, or * for all",
            )
            for text in ("grafana.example", "https://a.example/", "https://a.example,*", "https://*.example", ",")
        ),
        *(
            ("--limit.header-time", text, expected)
            for text, expected in (
                ("0", "a duration above 0, such as 10s"),
                ("soon", "a duration such as 90s, 5m or 1h30m, or 0"),
            )
        ),
        ("--demo.seed", "x", "a whole number"),
        *(("--demo.speed", text, "a number above 0, such as 1 or 2.5") for text in ("0", "-1", "fast", "inf")),
        ("--log.level", "loud", "one of debug, info, warn, error"),
        ("--log.format", "xml", "one of logfmt, json"),
    ],
)
def test_mistakes_say_what_would_be_right(flag: str, text: str, expected: str) -> None:
    assert mistakes({flag: text}) == (f"{flag}: expected {expected}, got {text!r}",)


def test_every_mistake_is_reported_at_once_under_the_name_that_was_used() -> None:
    assert mistakes({"--log.level": "loud"}, {"CLIPPER_EXPORTER_LIMIT_STREAMERS": "0"}) == (
        "CLIPPER_EXPORTER_LIMIT_STREAMERS: expected a whole number of at least 1, got '0'",
        "--log.level: expected one of debug, info, warn, error, got 'loud'",
    )


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (
            {"--limit.trigger-types": "3"},
            "--stats.trigger-types: expected at most 3 names (--limit.trigger-types), got 4",
        ),
        (
            {"--stats.trigger-types": "raid,spike", "--limit.name-length": "4"},
            "--stats.trigger-types: expected names of at most 4 characters, got 'spike'",
        ),
        (
            {"--limit.connections": "256"},
            "--limit.subscribers: expected fewer than --limit.connections (256), got 256",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_a_mistake(flags: dict[str, str], expected: str) -> None:
    assert mistakes(flags) == (expected,)
    settings, _ = Settings.read_what_is_right(flags, {})
    SharedStats.create(**settings.store_options)


def test_a_value_of_every_option_comes_from_its_variable() -> None:
    other = {
        "--web.listen-address": "0.0.0.0:1",
        "--web.telemetry-path": "/m",
        "--stats.trigger-types": "a",
        "--stats.stale-after": "1s",
        "--stats.time-zone": "UTC",
        "--limit.name-length": "99",
        "--log.level": "warn",
        "--web.prometheus-url": "http://prometheus:9090",
        "--web.grafana-url": "https://grafana/",
        "--log.format": "json",
        "--web.cors-origin": "https://grafana.example",
        "--limit.header-time": "3s",
        "--limit.connections": "600",
    }
    for field, option in options().items():
        text = other.get(option.flag, "7")
        settings = Settings.read({}, {option.variable: text})
        assert getattr(settings, field) == option.parse(text) != getattr(Settings(), field)


def test_misspelt_variables_are_found() -> None:
    environ = {
        "CLIPPER_EXPORTER_LOGLEVEL": "x",
        "CLIPPER_EXPORTER_STRICT": "1",
        "CLIPPER_EXPORTER_LOG_LEVEL": "x",
        "X": "",
    }
    assert unknown_variables(environ) == ["CLIPPER_EXPORTER_LOGLEVEL"]
