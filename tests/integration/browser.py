"""The built-in page in a real browser."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tooling import servers

T = TypeVar("T")

# The sandbox needs rights that neither root in a container nor an unpacked browser has; the page is our own.
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--lang=en-US",
    "--window-size=1360,900",
)
_ROWS = """
const text = (row, selector) => row.querySelector(selector).textContent;
return [...document.querySelectorAll("tbody tr")].map((row) => ({
  name: text(row, "th bdi"), viewers: text(row, ".viewers"), velocity: text(row, ".velocity"),
  clips: text(row, ".clips"), light: text(row, ".recording"), line: row.querySelector(".line").getAttribute("d"),
  type: text(row, ".trigger bdi"), time: text(row, ".trigger time"),
}));
"""
_TRIGGERS = """
return [...document.querySelectorAll("#triggers li")].map((item) => ({
  type: item.querySelector(".type").textContent, streamer: item.querySelector("strong").textContent,
  time: item.querySelector("time").textContent, at: item.querySelector("time").dateTime,
  details: [...item.querySelectorAll("dl div")].map((each) => [...each.children].map((part) => part.textContent)),
}));
"""


@contextmanager
def running_browser(chromium: Path, chromedriver: Path, profile: Path) -> Iterator[Chrome]:
    """Run a browser with a new ``profile`` until the context is left."""
    options = ChromeOptions()
    options.binary_location = str(chromium)
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # The driver hands its environment on to the browser.
    environment = {**os.environ, **servers.environment(chromium)}
    driver = Chrome(options=options, service=Service(str(chromedriver), env=environment))
    try:
        yield driver
    finally:
        driver.quit()


class Page:
    """The page in ``driver``, as a person sees it."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def run(self, script: str, *arguments: object) -> Any:
        """Run ``script`` in the page and return what it returns."""
        return self.driver.execute_script(script, *arguments)

    def rows(self) -> list[dict[str, str]]:
        """The texts of the table's rows, from the top."""
        found: list[dict[str, str]] = self.run(_ROWS)
        return found

    def names(self) -> list[str]:
        """The streamers in the table, from the top."""
        return [row["name"] for row in self.rows()]

    def row(self, name: str) -> dict[str, str]:
        """The texts of a streamer's row; empty if there is none."""
        return next((row for row in self.rows() if row["name"] == name), {})

    def triggers(self) -> list[dict[str, Any]]:
        """The texts of the list of triggers, from the top."""
        found: list[dict[str, Any]] = self.run(_TRIGGERS)
        return found

    def text(self, selector: str) -> str:
        """The visible text of the first element that ``selector`` finds."""
        return self.find(selector).text

    def find(self, selector: str) -> WebElement:
        """The first element that ``selector`` finds."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, on whatever has the focus."""
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def complaints(self) -> list[str]:
        """What the browser has complained of since it was last asked, such as errors and refusals of the policy."""
        return [entry["message"] for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def wait_for(self, read: Callable[[], T], right: Callable[[T], bool], deadline: float = 10.0) -> float:
        """Return the seconds until what ``read`` returns was ``right``; raise ``AssertionError`` after ``deadline``."""
        began = time.monotonic()
        while not right(value := read()):
            assert time.monotonic() - began < deadline, f"after {deadline:g} s it is still {value!r}"
            time.sleep(0.02)
        return time.monotonic() - began
