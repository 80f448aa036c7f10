from __future__ import annotations

import dataclasses
import inspect
import logging
from pathlib import Path
from typing import Any, get_type_hints
from zoneinfo import ZoneInfo

import pytest
from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute, Mount, Route

import exporter
from exporter import HttpLimits, SettingsError, SharedStats
from exporter.live.hub import Hub
from exporter.metrics import STREAMERS_LIMIT
from exporter.settings.address import Address
from exporter.settings.options import ServeKeywords, ServeOptions
from exporter.settings.settings import (
    Settings,
    options,
    serve_options,
    store_options,
    unknown_variables,
    warn_of_unknown_variables,
)
from exporter.store.shared import STALE_AFTER
from exporter.web.app import create_app


def mistakes(flags: dict[str, str] | None = None, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as refusal:
        Settings.read(flags or {}, environ or {})
    return refusal.value.mistakes


def read(settings: Settings, field: str) -> Any:
    value: Any = getattr(settings, options()[field].part)
    for name in field.split("."):
        value = value.get(name, "") if isinstance(value, dict) else getattr(value, name)
    return value


def test_the_defaults() -> None:
    settings = Settings.read({}, {})
    assert settings.serve == ServeOptions()
    assert settings.serve.listen == Address("127.0.0.1", 9309)
    assert settings.serve.telemetry_path == "/metrics"
    assert settings.store.stale_after == STALE_AFTER == 300
    assert settings.store.time_zone is None
    assert SharedStats.create(**settings.store.keywords()).own_numbers()[STREAMERS_LIMIT] == 200_000


@pytest.mark.parametrize("option", [each for each in options().values() if each.default], ids=lambda each: each.flag)
def test_a_default_means_what_it_says(option: Any) -> None:
    settings = Settings.read({option.flag: option.default}, {})
    assert settings == Settings.read({}, {})


def test_flags_win_over_the_environment_and_the_environment_over_defaults() -> None:
    environ = {"CLIPPER_EXPORTER_LOG_LEVEL": "debug", "CLIPPER_EXPORTER_LOG_FORMAT": "json"}
    settings = Settings.read({"--log.level": "error"}, environ)
    assert (settings.log.level, settings.log.format) == ("error", "json")


@pytest.mark.parametrize(
    ("flag", "text", "field", "value"),
    [
        ("--web.listen-address", ":9309", "listen", Address("", 9309)),
        ("--web.listen-address", "[::1]:0", "listen", Address("::1", 0)),
        ("--web.listen-address", "exporter.lan:80", "listen", Address("exporter.lan", 80)),
        ("--web.telemetry-path", "/clipper/metrics", "telemetry_path", "/clipper/metrics"),
        ("--stats.stale-after", "1h30m", "stale_after", 5400),
        ("--stats.stale-after", "500ms", "stale_after", 0.5),
        ("--stats.stale-after", "0", "stale_after", 0),
        ("--stats.trigger-types", "raid, hype", "trigger_types", ("raid", "hype")),
        ("--stats.trigger-types", "", "trigger_types", ()),
        ("--stats.time-zone", "Europe/Berlin", "time_zone", ZoneInfo("Europe/Berlin")),
        ("--limit.streamers", "100000", "limits.streamers", 100_000),
        ("--web.cors-origin", "*", "cors_origins", ("*",)),
        ("--web.cors-origin", "", "cors_origins", ()),
        ("--web.cors-origin", "https://a.example, http://b:80", "cors_origins", ("https://a.example", "http://b:80")),
        ("--limit.header-time", "1500ms", "limits.header_seconds", 1.5),
        ("--log.level", "WARN", "level", "warn"),
        ("--log.level", "Warning", "level", "warn"),
        ("--demo.seed", "-3", "seed", -3),
        ("--demo.speed", "2.5", "speed", 2.5),
    ],
)
def test_values(flag: str, text: str, field: str, value: Any) -> None:
    assert read(Settings.read({flag: text}, {}), field) == value


ADDRESS = "is not host:port, such as 127.0.0.1:9309, [::1]:9309 or :9309 for every address"
TAKEN = "is the path of another route; choose a path such as /metrics"
NAMES = "is not a list of different names, in UTF-8 and separated by commas"
DURATION = "is not a duration such as 90s, 5m or 1h30m, or 0"


@pytest.mark.parametrize(
    ("flag", "text", "problem"),
    [
        *(
            ("--web.listen-address", text, ADDRESS)
            for text in ("9309", "localhost:", "localhost:x", "::1:9309", "h:-1")
        ),
        *(
            ("--web.telemetry-path", text, "is not a path such as /metrics")
            for text in ("metrics", "/", "/a b", "/x?y", "")
        ),
        *(
            ("--web.telemetry-path", text, TAKEN)
            for text in ("/api/stats", "/-/ready", "/socket.io", "/app.js", "/style.css", "/index.html")
        ),
        *(
            ("--stats.stale-after", text, DURATION)
            for text in ("", "5", "5 m", "-5m", "1m1h", "soon", "٣m", "9999999999y")
        ),
        *(("--stats.trigger-types", text, NAMES) for text in ("a,,b", "a,a", ",", "a\udcff")),
        *(
            (
                "--stats.time-zone",
                text,
                "is neither local nor an IANA time zone such as Europe/Berlin",
            )
            for text in ("Mars/Olympus", "", "../etc/passwd", "a\0b", "Europe")
        ),
        *(
            ("--limit.streamers", text, "is not a whole number of at least 1")
            for text in ("-1", "1.5", "many", "", "٣")
        ),
        *(
            (
                "--web.cors-origin",
                text,
                "is not a list of origins such as https://grafana.example:3000, nor * for all",
            )
            for text in ("grafana.example", "https://a.example/", "https://a.example,*", "https://*.example", ",")
        ),
        ("--limit.header-time", "0", "is not a duration above 0, such as 10s"),
        ("--limit.header-time", "soon", DURATION),
        ("--storage.path", "", "does not name a folder"),
        ("--web.config.file", "", "does not name a file"),
        ("--push.token-file", "", "does not name a file"),
        ("--web.grafana-url", "grafana", "is not a URL that begins with http:// or https://"),
        ("--demo.seed", "x", "is not a whole number"),
        *(("--demo.speed", text, "is not a number above 0, such as 1 or 2.5") for text in ("0", "-1", "fast", "inf")),
        ("--log.level", "loud", "is not one of debug, info, warn, error"),
        ("--log.format", "xml", "is not one of logfmt, json"),
    ],
)
def test_a_mistake_says_what_would_be_right(flag: str, text: str, problem: str) -> None:
    assert mistakes({flag: text}) == (f"{flag}: {text!r} {problem}",)


@pytest.mark.parametrize(
    ("flag", "text", "problem"),
    [
        ("--web.listen-address", ":99999", "port 99999 is above 65535"),
        ("--limit.streamers", "0", "0 is not a whole number of at least 1"),
        ("--web.listen-address", "a b:1", "'a b' is not an IP address or host name"),
        ("--push.token-file", "/no/such/file", "/no/such/file cannot be read (No such file or directory)"),
    ],
)
def test_a_mistake_names_the_part_of_the_value(flag: str, text: str, problem: str) -> None:
    assert mistakes({flag: text}) == (f"{flag}: {problem}",)


def test_every_mistake_is_reported_at_once_under_the_name_that_was_used() -> None:
    assert mistakes({"--log.level": "loud"}, {"CLIPPER_EXPORTER_LIMIT_STREAMERS": "0"}) == (
        "CLIPPER_EXPORTER_LIMIT_STREAMERS: 0 is not a whole number of at least 1",
        "--log.level: 'loud' is not one of debug, info, warn, error",
    )


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (
            {"--limit.trigger-types": "3"},
            "--stats.trigger-types: 4 names are more than --limit.trigger-types (3)",
        ),
        (
            {"--stats.trigger-types": "raid,spike", "--limit.name-length": "4"},
            "--stats.trigger-types: 'spike' is longer than --limit.name-length (4 characters)",
        ),
        (
            {"--limit.connections": "256"},
            "--limit.subscribers: 256 live subscribers leave no connection for scrapes (connections: 256)",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_a_mistake(flags: dict[str, str], expected: str) -> None:
    assert mistakes(flags) == (expected,)


def test_a_store_is_made_in_spite_of_mistakes() -> None:
    environ = {
        "CLIPPER_EXPORTER_LIMIT_TRIGGER_TYPES": "3",
        "CLIPPER_EXPORTER_LIMIT_STREAMERS": "many",
        "CLIPPER_EXPORTER_STATS_STALE_AFTER": "1m",
        "CLIPPER_EXPORTER_LIMIT_BODY_BYTES": "the store does not look at it",
    }
    found, told = store_options(environ)
    assert told == (
        "CLIPPER_EXPORTER_LIMIT_STREAMERS: 'many' is not a whole number of at least 1",
        "CLIPPER_EXPORTER_STATS_TRIGGER_TYPES: 4 names are more than --limit.trigger-types (3)",
    )
    assert found == dataclasses.replace(store_options({})[0], stale_after=60.0)
    SharedStats.create(**found.keywords())


def other_values(folder: Path) -> dict[str, str]:
    """For each flag a value that is not its default."""
    (folder / "token").write_text("correct-horse\n")
    return {
        "--web.listen-address": "0.0.0.0:1",
        "--web.telemetry-path": "/m",
        "--web.config.file": "web.yml",
        "--web.cors-origin": "https://grafana.example",
        "--stats.trigger-types": "a",
        "--stats.stale-after": "1s",
        "--stats.time-zone": "UTC",
        "--limit.streamers": "7",
        "--limit.trigger-types": "7",
        "--limit.name-length": "99",
        "--limit.details-bytes": "7",
        "--push.token-file": str(folder / "token"),
        "--limit.body-bytes": "7",
        "--limit.header-bytes": "7",
        "--limit.header-time": "3s",
        "--limit.connections": "600",
        "--limit.subscribers": "7",
        "--storage.path": "kept",
        "--web.prometheus-url": "http://prometheus:9090",
        "--web.grafana-url": "https://grafana/",
        "--log.level": "warn",
        "--log.format": "json",
        "--demo.seed": "7",
        "--demo.speed": "7",
    }


def test_a_value_of_every_option_comes_from_its_variable(tmp_path: Path) -> None:
    texts = other_values(tmp_path)
    assert texts.keys() == {option.flag for option in options().values()}
    before = Settings.read({}, {})
    for field, option in options().items():
        settings = Settings.read({}, {option.variable: texts[option.flag]})
        assert read(settings, field) == option.parse(texts[option.flag]) != read(before, field)
        assert dataclasses.replace(settings, **{option.part: getattr(before, option.part)}) == before


def test_an_empty_variable_is_none_where_nothing_is_the_default() -> None:
    empty = {option.variable: "" for option in options().values() if option.default is None}
    assert Settings.read({}, empty) == Settings.read({}, {})
    assert serve_options({}, empty) == ServeOptions()


def test_misspelt_variables_are_found(caplog: pytest.LogCaptureFixture) -> None:
    environ = {
        "CLIPPER_EXPORTER_LOGLEVEL": "x",
        "CLIPPER_EXPORTER_STRICT": "1",
        "CLIPPER_EXPORTER_LOG_LEVEL": "x",
        "CLIPPER_EXPORTER_ZZZ": "x",
        "X": "",
    }
    assert unknown_variables(environ) == ["CLIPPER_EXPORTER_LOGLEVEL", "CLIPPER_EXPORTER_ZZZ"]
    with caplog.at_level(logging.WARNING):
        warn_of_unknown_variables(environ)
    assert [record.getMessage() for record in caplog.records] == [
        "unknown environment variable CLIPPER_EXPORTER_LOGLEVEL: did you mean CLIPPER_EXPORTER_LOG_LEVEL?",
        "unknown environment variable CLIPPER_EXPORTER_ZZZ: is it misspelt?",
    ]


class TestTheKeywordsOfServe:
    """``serve()`` and the command line build the same object with the same checks."""

    FOR_FLAGS = frozenset(option.sets.partition(".")[0] for option in options().values() if option.part == "serve")

    def test_flags_fields_and_keywords_are_the_same(self) -> None:
        fields = {field.name for field in dataclasses.fields(ServeOptions)}
        assert (fields - {"port", "address"}) | {"listen"} == self.FOR_FLAGS
        assert ServeKeywords.__annotations__.keys() == fields - {"port", "address"}
        own = {"port", "address", "stats", "registry", "keywords"}
        assert inspect.signature(exporter.serve).parameters.keys() == own

    def test_a_field_is_of_a_type_that_its_keyword_allows(self) -> None:
        kept, allowed = get_type_hints(ServeOptions), get_type_hints(ServeKeywords)
        for name, given in allowed.items():
            value = getattr(ServeOptions(), name)
            assert serve_options({name: value}, {}) == ServeOptions(), (name, kept[name], given)

    def test_a_value_that_a_flag_gives_is_one_that_a_keyword_gives(self, tmp_path: Path) -> None:
        texts = other_values(tmp_path)
        keywords: dict[str, Any] = {
            "port": 1,
            "address": "0.0.0.0",
            "telemetry_path": "/m",
            "push_token": "correct-horse",
            "body_bytes": 7,
            "links": {"Prometheus": "http://prometheus:9090", "Grafana": "https://grafana/"},
            "web_config": Path("web.yml"),
            "cors_origins": ["https://grafana.example"],
            "limits": HttpLimits(600, 7, 7, 3.0),
            "storage": Path("kept"),
        }
        from_flags = Settings.read(texts, {}).serve
        from_environment = {option.variable: texts[option.flag] for option in options().values()}
        assert serve_options(keywords, {}) == serve_options({}, from_environment) == from_flags
        assert serve_options(keywords, dict.fromkeys(from_environment, "x")) == from_flags, "keywords win"

    def test_a_keyword_wins_over_its_own_variable_alone(self) -> None:
        environ = {"CLIPPER_EXPORTER_WEB_LISTEN_ADDRESS": ":9400", "CLIPPER_EXPORTER_STORAGE_PATH": "kept"}
        assert serve_options({"port": 1}, environ).listen == Address("", 1)
        assert serve_options({"port": 1}, environ).storage == "kept"
        assert serve_options({"storage": None}, environ).storage is None

    @pytest.mark.parametrize(
        ("keyword", "value", "flag", "text"),
        [
            ("telemetry_path", "/api/stats", "--web.telemetry-path", "/api/stats"),
            ("telemetry_path", "metrics", "--web.telemetry-path", "metrics"),
            ("telemetry_path", "/app.js", "--web.telemetry-path", "/app.js"),
            ("storage", "", "--storage.path", ""),
            ("web_config", "", "--web.config.file", ""),
            ("body_bytes", 0, "--limit.body-bytes", "0"),
            ("cors_origins", ["grafana.example"], "--web.cors-origin", "grafana.example"),
            ("links", {"Grafana": "grafana"}, "--web.grafana-url", "grafana"),
        ],
    )
    def test_what_one_door_refuses_the_other_refuses_with_the_same_words(
        self, keyword: str, value: Any, flag: str, text: str
    ) -> None:
        (by_flag,) = mistakes({flag: text})
        with pytest.raises(SettingsError) as refusal:
            serve_options({keyword: value}, {})
        assert refusal.value.mistakes == (by_flag.replace(flag, keyword),)

    @pytest.mark.parametrize("token", ["", " ", "two words", "line\nline", "tab\ttab", "\u00e9"])
    def test_a_token_is_one_word_at_both_doors(self, tmp_path: Path, token: str) -> None:
        (tmp_path / "token").write_text(token)
        problem = "the token is not one word of printable ASCII characters"
        assert mistakes({"--push.token-file": str(tmp_path / "token")}) == (f"--push.token-file: {problem}",)
        with pytest.raises(SettingsError) as refusal:
            serve_options({"push_token": token}, {})
        assert refusal.value.mistakes == (f"push_token: {problem}",)

    def test_every_mistake_is_raised_at_once(self) -> None:
        keywords: dict[str, Any] = {"port": 70000, "storage": 5, "limits": 7, "address": "localhost:9309"}
        environ = {"CLIPPER_EXPORTER_LIMIT_BODY_BYTES": "many", "CLIPPER_EXPORTER_WEB_TELEMETRY_PATH": "/api"}
        with pytest.raises(SettingsError) as refusal:
            serve_options(keywords, environ)
        assert sorted(refusal.value.mistakes) == [
            "CLIPPER_EXPORTER_LIMIT_BODY_BYTES: 'many' is not a whole number of at least 1",
            f"CLIPPER_EXPORTER_WEB_TELEMETRY_PATH: '/api' {TAKEN}",
            "address: 'localhost:9309' is not an IPv6 address (give the port separately)",
            "limits: 7 is not HttpLimits",
            "port: 70000 is above 65535",
            "storage: 5 does not name a folder",
        ]

    @pytest.mark.parametrize(
        ("port", "problem"),
        [(-1, "-1 is below 0"), ("9309", "'9309' is not a whole number"), (True, "True is not a whole number")],
    )
    def test_a_port_is_a_whole_number(self, port: Any, problem: str) -> None:
        with pytest.raises(SettingsError, match=f"^port: {problem}$"):
            ServeOptions(port=port)

    def test_a_keyword_that_there_is_not_is_a_type_error(self) -> None:
        with pytest.raises(
            TypeError, match=r"^serve\(\) has no keyword 'telemetri_path': did you mean telemetry_path\?$"
        ):
            serve_options({"telemetri_path": "/m"}, {})

    def test_no_route_can_be_hidden(self) -> None:
        store = SharedStats.create()

        def paths(routes: list[BaseRoute]) -> set[str]:
            return {route.path for route in routes if isinstance(route, Route | Mount)}

        found = paths(create_app(ServeOptions(), store, CollectorRegistry(), Hub(store)).routes) - {"", "/metrics"}
        assert len(found) > 10
        for path in found:
            with pytest.raises(SettingsError):
                ServeOptions(telemetry_path=path)

    def test_a_token_does_not_print(self) -> None:
        assert "correct-horse" not in repr(ServeOptions(push_token="correct-horse"))
