"""Every character that there is, in names that a real Prometheus scrapes, stores and gives back."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter import SharedStats
from exporter.live.hub import Hub
from exporter.metrics import STREAMER, VIEWERS
from exporter.settings.options import ServeOptions
from exporter.store.validation import Limits
from exporter.web.app import create_app
from exporter.web.listener import listen
from exporter.web.server import Server
from tests.conftest import SharedPrometheus
from tests.targets import Target

pytestmark = pytest.mark.integration

LENGTH = Limits().name_length
SYNTAX = [
    '"',
    "\\",
    "\n",
    "\r",
    "\r\n",
    "\t",
    "\0",
    "{",
    "}",
    "=",
    ",",
    " ",
    "#",
    "# EOF\n",
    '"} 1\n',
    "\\n",
    "\\\\n",
    "$",
]
SPECIAL = [
    "\u2028",
    "\u2029",
    "\x85",
    "\ufeff",
    "\ufffd",
    "\uffff",
    "\u202e",
    "\u2066",
    "אב",
    "\u0301",
    "\U0001f3ae",
    "<b>",
]


def hostile_names() -> Iterator[str]:
    """All characters but the surrogates, in their order, and thousands of mixtures of those that mean something."""
    characters = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    for start in range(0, len(characters), LENGTH):
        yield "".join(characters[start : start + LENGTH])
    chance = random.Random(1)
    for _ in range(5_000):
        yield "".join(chance.choices(SYNTAX + SPECIAL + ["a"], k=chance.randint(1, 12)))


def speaking(app: ASGIApp, accept: bytes) -> ASGIApp:
    """An app that takes every client for one that asks for the format ``accept``."""

    async def with_accept(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name != b"accept"]
        await app({**scope, "headers": [*headers, (b"accept", accept)]}, receive, send)

    return with_accept


@pytest.mark.parametrize(
    "accept",
    [
        b"application/openmetrics-text;version=1.0.0",  # what Prometheus asks for
        pytest.param(b"text/plain;version=0.0.4", marks=pytest.mark.heavy),
    ],
)
def test_names_of_every_character_come_back_equal(
    accept: bytes, shared_prometheus: SharedPrometheus, slow_target: Target
) -> None:
    store = SharedStats.create(trigger_types=(), stale_after=0)
    expected = {name: float(number) for number, name in enumerate(hostile_names())}
    for name, value in expected.items():
        store.update_viewers(name, value)
    hub, options = Hub(store), ServeOptions(port=slow_target.port)
    app = create_app(options, store, CollectorRegistry(), hub)
    with Server(speaking(app, accept), listen(options.listen), options, hub):
        prometheus = shared_prometheus.prometheus
        prometheus.wait_until_scraped(slow_target.job, deadline=60)
        assert prometheus.values(VIEWERS.name, STREAMER) == expected
        # No name has become a family, a label or a sample of its own.
        assert prometheus.value(f'count({{{STREAMER}!=""}})') == 3 * len(expected)
        assert prometheus.value(f'count(count by (__name__) ({{{STREAMER}!=""}}))') == 3
