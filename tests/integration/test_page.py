"""The built-in page, in a real browser, against a real exporter."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry
from selenium.webdriver import Keys

from exporter import SharedStats
from exporter.web.server import Server, serve
from tests.conftest import required_program
from tests.integration.browser import Page, running_browser
from tests.integration.relay import relayed

pytestmark = pytest.mark.integration

DASH = "\N{EN DASH}"  # for what was never reported
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "\"quotes' & &amp; {braces} ${x}",
    "line\nbreak\ttab",
    "\u202eright to left",
    "separated\u2028and\u2029again",
    "__proto__",
    "constructor",
    "42",
    "é\U0001f3ae",
    " ",
    "long " * 25,
]
# Makes the page's timers run out thirty times as fast, and tells nothing else of it.
FAST_TIMERS = "const later = setTimeout; window.setTimeout = (act, delay) => later(act, delay / 30);"


@pytest.fixture(scope="module")
def browser_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    chromium, chromedriver = required_program("chromium"), required_program("chromedriver")
    with running_browser(chromium, chromedriver, tmp_path_factory.mktemp("browser")) as driver:
        yield Page(driver)


@pytest.fixture
def store() -> SharedStats:
    return SharedStats.create()


def serving(store: SharedStats, port: int = 0) -> Server:
    return serve(port, stats=store, registry=CollectorRegistry())


@pytest.fixture
def server(store: SharedStats) -> Iterator[Server]:
    with serving(store) as server:
        yield server


@pytest.fixture
def page(browser_page: Page, server: Server) -> Iterator[Page]:
    """The page of ``server``, live; nothing that the browser complains of passes."""
    open_page(browser_page, server.url)
    yield browser_page
    complaints = browser_page.complaints()
    browser_page.driver.get("about:blank")
    assert complaints == []


def open_page(page: Page, url: str) -> None:
    page.complaints()
    page.driver.get(url + "/")
    page.wait_for(lambda: page.text("#state"), lambda text: "Live since" in text)


def test_a_streamer_appears_by_itself(page: Page, store: SharedStats) -> None:
    page.wait_for(lambda: page.text("#empty"), lambda text: "No streamer has reported yet" in text)
    for number in range(5):
        name = f"streamer-{number}"
        store.update_viewers(name, 45000 + number)
        page.wait_for(lambda name=name: page.row(name), bool)  # type: ignore[misc]
        assert page.row(name)["viewers"] == f"45,00{number}"
    assert not page.find("#empty").is_displayed()
    assert page.driver.title == "(5) Clipper exporter"


def test_numbers_follow(page: Page, store: SharedStats) -> None:
    store.update_viewers("xQc", 45000)
    page.wait_for(lambda: page.row("xQc"), bool)
    assert {key: page.row("xQc")[key] for key in ("velocity", "light", "clips", "type", "time")} == {
        "velocity": DASH,
        "light": DASH,
        "clips": "0",
        "type": "",
        "time": DASH,
    }
    store.update_velocity("xQc", 125.5)
    store.increment_clips_today("xQc")
    store.increment_clips_today("xQc")
    for recording, light in ((True, "REC"), (False, "off"), (True, "REC")):
        store.update_recording_status("xQc", recording)
        page.wait_for(lambda: page.row("xQc")["light"], lambda text, light=light: text == light)  # type: ignore[misc]
    assert (page.row("xQc")["velocity"], page.row("xQc")["clips"]) == ("125.5", "2")
    store.update_viewers("Other", 5000)
    page.wait_for(lambda: page.text("#totals"), lambda text: "50,000" in text)
    assert page.text("#totals").split("\n")[1::2] == ["2", "50,000", "125.5", "1", "2"]


def test_the_line_has_what_was_received(page: Page, store: SharedStats) -> None:
    store.update_viewers("xQc", 100)
    page.wait_for(lambda: page.row("xQc").get("line", ""), lambda line: line.startswith("M"))
    flat = page.row("xQc")["line"]
    assert len({point.split(" ")[1] for point in flat[1:].split("L")}) == 1
    store.update_viewers("xQc", 200)  # within five seconds or later: one point moves, or there is a second
    page.wait_for(lambda: page.row("xQc")["line"], lambda line: line != flat)


def test_a_trigger_appears_with_its_details(page: Page, store: SharedStats) -> None:
    store.update_viewers("xQc", 55000)
    store.add_trigger("xQc", "viewer_spike", {"viewer_count": 55000, "ratio": 1.38, "why": {"a": [1, None]}})
    store.add_trigger("Other", "keyword")
    page.wait_for(page.triggers, lambda triggers: len(triggers) == 2)
    newest, first = page.triggers()
    assert (newest["type"], newest["streamer"], newest["details"]) == ("keyword", "Other", [])
    assert (first["type"], first["streamer"]) == ("viewer_spike", "xQc")
    assert first["details"] == [["viewer_count", "55,000"], ["ratio", "1.38"], ["why", '{"a":[1,null]}']]
    assert first["at"] == store.recent_triggers[1]["timestamp"]
    page.wait_for(lambda: page.row("xQc")["type"], lambda text: text == "viewer_spike")
    page.wait_for(lambda: page.row("xQc")["time"], lambda text: text.endswith("s ago"))
    page.wait_for(
        lambda: page.run("return document.getElementById('announced').textContent"),
        lambda text: text in ("Trigger: keyword, Other, and 1 more", "Trigger: keyword, Other"),
    )


def test_what_was_there_before_the_page_is_shown(browser_page: Page, store: SharedStats) -> None:
    store.update_viewers("xQc", 1)
    store.increment_clips_today("xQc")
    for number in range(25):
        store.add_trigger("xQc", "keyword", {"number": number})
    with serving(store) as server:
        open_page(browser_page, server.url)
        browser_page.wait_for(browser_page.triggers, lambda triggers: len(triggers) == 20)
        assert browser_page.triggers()[0]["details"] == [["number", "24"]]
        assert browser_page.row("xQc")["clips"] == "1"
        assert browser_page.row("xQc")["type"] == "keyword"
        store.reset_all()
        browser_page.wait_for(browser_page.triggers, lambda triggers: not triggers)
        browser_page.wait_for(browser_page.names, lambda names: names == [])


def test_a_cleared_streamer_leaves(page: Page, store: SharedStats) -> None:
    store.update_viewers("stays", 1)
    store.update_viewers("goes", 2)
    store.add_trigger("goes", "keyword")
    page.wait_for(page.names, lambda names: names == ["goes", "stays"])
    store.clear_streamer_stats("goes")
    page.wait_for(page.names, lambda names: names == ["stays"])
    assert [trigger["streamer"] for trigger in page.triggers()] == ["goes"]
    store.update_velocity("goes", 3)
    page.wait_for(page.names, lambda names: names == ["stays", "goes"])
    assert page.row("goes")["viewers"] == DASH


def test_a_restart_is_survived(browser_page: Page) -> None:
    page, before, after = browser_page, SharedStats.create(), SharedStats.create()
    before.update_viewers("xQc", 1)
    with serving(before) as server:
        open_page(page, server.url)
        page.wait_for(page.names, lambda names: names == ["xQc"])
    page.wait_for(lambda: page.text("#state"), lambda text: "Connection lost" in text and "numbers as of" in text)
    assert float(page.find("tbody").value_of_css_property("opacity")) < 0.6
    page.wait_for(lambda: page.driver.title, lambda title: title == "(connection lost) Clipper exporter")
    assert page.row("xQc")["viewers"] == "1"
    after.update_viewers("xQc", 2)
    after.update_viewers("new", 1)
    with serving(after, server.port):
        page.wait_for(page.names, lambda names: names == ["xQc", "new"], deadline=30)
        assert page.row("xQc")["viewers"] == "2"
        assert page.text("#state").startswith("● Live") or "Live since" in page.text("#state")
        assert float(page.find("tbody").value_of_css_property("opacity")) == 1


def test_an_error_of_a_proxy_is_survived(browser_page: Page, server: Server, store: SharedStats) -> None:
    """A browser gives up for good on an event stream that is answered with an error."""
    page = browser_page
    with relayed(server.port) as relay:
        open_page(page, f"http://127.0.0.1:{relay.port}")
        relay.mode = "refuse"
        page.wait_for(lambda: page.text("#state"), lambda text: "trying again in" in text, deadline=20)
        assert relay.refused
        store.update_viewers("xQc", 1)
        relay.mode = "pass"
        page.wait_for(page.names, lambda names: names == ["xQc"], deadline=30)


def test_a_connection_that_died_without_a_word_is_found_out(
    browser_page: Page, server: Server, store: SharedStats
) -> None:
    page = browser_page
    fast = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": FAST_TIMERS})
    try:
        with relayed(server.port) as relay:
            store.update_viewers("xQc", 1)
            open_page(page, f"http://127.0.0.1:{relay.port}")
            page.wait_for(page.names, lambda names: names == ["xQc"])
            relay.mode = "mute"
            store.update_viewers("xQc", 2)
            page.wait_for(lambda: page.text("#state"), lambda text: "Connection lost" in text)
            assert page.row("xQc")["viewers"] == "1"
            relay.mode = "pass"
            page.wait_for(lambda: page.row("xQc")["viewers"], lambda text: text == "2")
    finally:
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", fast)


def test_hostile_names_are_text(page: Page, store: SharedStats) -> None:
    for number, name in enumerate(HOSTILE):
        store.update_viewers(name, 100 - number)
        store.increment_clips_today(name)
        store.add_trigger(name, name[:64], {name: name})
    page.wait_for(lambda: len(page.triggers()), lambda count: count == len(HOSTILE))
    page.wait_for(page.names, lambda names: names == HOSTILE)
    assert {row["clips"] for row in page.rows()} == {"1"}
    for trigger, name in zip(reversed(page.triggers()), HOSTILE, strict=True):
        short = name if len(name) <= 120 else name[:120] + "…"
        assert trigger["streamer"] == name
        assert trigger["type"] == name[:64]
        assert trigger["details"] == [[short, short]]
    assert page.run("return document.querySelectorAll('img, script:not([src=\"app.js\"])').length") == 0
    heights = page.run("return [...document.querySelectorAll('tbody tr')].map((row) => row.offsetHeight)")
    assert max(heights) < 60


def test_sorting_with_the_keyboard(page: Page, store: SharedStats) -> None:
    numbers = {"b": (2, 30, True), "C": (30, 10, False), "a10": (1, 20, False), "a9": (3, None, True)}
    for name, (viewers, velocity, recording) in numbers.items():
        store.update_viewers(name, viewers)
        store.update_recording_status(name, recording)
        if velocity is not None:
            store.update_velocity(name, velocity)
    page.wait_for(page.names, lambda names: names == ["C", "a9", "b", "a10"])
    page.find("#filter").click()
    page.press(Keys.TAB, Keys.ENTER)
    assert page.run("return document.activeElement.textContent") == "Streamer"
    page.wait_for(page.names, lambda names: names == ["a9", "a10", "b", "C"])
    page.press(Keys.SPACE)
    page.wait_for(page.names, lambda names: names == ["C", "b", "a10", "a9"])
    assert page.run("return document.activeElement.parentElement.ariaSort") == "descending"
    page.press(Keys.TAB, Keys.ENTER)
    page.wait_for(page.names, lambda names: names == ["a9", "b", "a10", "C"])
    page.press(Keys.TAB, Keys.TAB, Keys.ENTER)
    page.wait_for(page.names, lambda names: names == ["b", "a10", "C", "a9"])
    page.press(Keys.ENTER)  # the other way round, and still last what was never reported
    page.wait_for(page.names, lambda names: names == ["C", "a10", "b", "a9"])
    assert page.run("return document.querySelectorAll('[aria-sort]').length") == 1
    outline = page.run("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_rows_change_places_with_their_numbers_in_time(page: Page, store: SharedStats) -> None:
    store.update_viewers("first", 2)
    store.update_viewers("second", 1)
    page.wait_for(page.names, lambda names: names == ["first", "second"])
    store.update_viewers("second", 3)
    page.wait_for(page.names, lambda names: names == ["second", "first"])


def test_the_filter(page: Page, store: SharedStats) -> None:
    for number, name in enumerate(["Alpha", "Beta", "alphabet", "Ωmega"]):
        store.update_viewers(name, 10 - number)
        store.add_trigger(name, "keyword")
    page.wait_for(page.names, lambda names: len(names) == 4)
    page.wait_for(page.triggers, lambda triggers: len(triggers) == 4)
    page.find("#filter").send_keys("ALPHA")
    page.wait_for(page.names, lambda names: names == ["Alpha", "alphabet"])
    assert page.text("#shown") == "2 of 4"
    assert {trigger["streamer"] for trigger in page.triggers()} == {"Alpha", "alphabet"}
    assert page.text("#totals").split("\n")[1] == "4"
    store.update_viewers("alphanumeric", 1)
    store.update_viewers("other", 1)
    page.wait_for(page.names, lambda names: names == ["Alpha", "alphabet", "alphanumeric"])
    page.find("#filter").send_keys("<b>")
    page.wait_for(lambda: page.text("#nobody"), lambda text: text == "No streamer's name contains “ALPHA<b>”.")
    assert not page.find("table").is_displayed()
    page.press(*[Keys.BACKSPACE] * len("ALPHA<b>"))
    page.wait_for(page.names, lambda names: len(names) == 6)


def test_two_hundred_streamers_stay_smooth(page: Page, store: SharedStats) -> None:
    """The whole work of the page's thread, drawing included, while every number changes four times a second."""
    stop = threading.Event()

    def write() -> None:
        moment = 0
        while not stop.wait(0.25):
            moment += 1
            for number in range(200):
                store.update_viewers(f"streamer-{number}", 1000 + (number * 37 + moment * 101) % 5000)
                store.update_velocity(f"streamer-{number}", (number + moment * 7) % 300 + 0.5)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        page.wait_for(page.names, lambda names: len(names) == 200)
        page.driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
        page.run(
            "window.long = []; new PerformanceObserver((list) => long.push(...list.getEntries()"
            ".map((entry) => entry.duration))).observe({type: 'longtask'});"
        )
        began, before = time.monotonic(), metrics(page)
        time.sleep(5)  # what is measured, not what is waited for
        elapsed, after = time.monotonic() - began, metrics(page)
    finally:
        stop.set()
        writer.join(10)
    busy = {key: (after[key] - before[key]) / elapsed for key in ("ScriptDuration", "LayoutDuration", "TaskDuration")}
    longest = max(page.run("return long"), default=0)
    print({key: f"{share:.1%} of a core" for key, share in busy.items()}, f"longest task {longest:.0f} ms")
    assert busy["TaskDuration"] < 0.6


def metrics(page: Page) -> dict[str, float]:
    answer = page.driver.execute_cdp_cmd("Performance.getMetrics", {})
    return {metric["name"]: metric["value"] for metric in answer["metrics"]}


@pytest.mark.parametrize("width", [390, 700, 1000, 1360])
def test_nothing_is_wider_than_the_screen(page: Page, store: SharedStats, width: int) -> None:
    for name in HOSTILE:
        store.update_viewers(name, 10**14)
        store.update_velocity(name, 12345.6)
        store.add_trigger(name, name[:64], {name: name})
    page.wait_for(page.names, lambda names: len(names) == len(HOSTILE))
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        assert page.run("return document.documentElement.scrollWidth") <= width
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
